"""How far samples are from the training data, beside data that were not trained on."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

_COLORS = {"test examples": "tab:blue", "samples": "tab:orange"}


def save_distances(samples: Float[np.ndarray, " n"], test: Float[np.ndarray, " m"], path: Path) -> None:
    """Draw histograms of two sets of distances, on one axis that starts at 0.

    Args:
      samples: distances of samples to their nearest training examples.
      test: those of test examples.
      path: the PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 3.4), layout="constrained")
    axes = figure.add_subplot()
    groups = {"test examples": test, "samples": samples}
    highest = float(np.quantile(np.concatenate([samples, test]), 0.995)) or 1.0
    for name, distances in groups.items():
        axes.hist(
            np.clip(distances, 0, highest),
            bins=np.linspace(0, highest, 40).tolist(),
            density=True,
            histtype="stepfilled",
            alpha=0.5,
            color=_COLORS[name],
            label=name,
        )
    axes.set(xlabel="distance to the nearest training example", ylabel="density", xlim=(0, highest))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)
