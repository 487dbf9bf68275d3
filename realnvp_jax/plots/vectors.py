"""Samples of vectors beside data, and latents beside the base distribution."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from realnvp_jax.base import Base, Logistic, Normal, Uniform
from realnvp_jax.plots.names import name_axes, write_title
from realnvp_jax.plots.plane import draw_points, limits_of, relative_height
from realnvp_jax.random import root_key

_MAX_CORNER_COLUMNS = 8
_DRAWS = 100_000  # from a base whose quantiles are not known
_COLORS = {"data": "tab:blue", "samples": "tab:orange"}


def save_points(
    data: np.ndarray | None, samples: np.ndarray, columns: Sequence[str], path: Path, title: str = ""
) -> None:
    """Draw samples beside data: scatter plots of points on the plane, else a corner plot of the first columns.

    Args:
      data: [n, columns], of which as many are drawn as there are samples; None to draw only the samples.
      samples: [n, columns].
      columns: names of the axes.
      path: the PNG file.
      title: what the picture shows; "" for none.
    """
    from matplotlib.figure import Figure

    groups = {"samples": samples} if data is None else {"data": data[: len(samples)], "samples": samples}
    shown = samples if data is None else data
    if samples.shape[1] == 2:
        limits = limits_of(shown, margin=0.15)
        figure = Figure(figsize=(5 * len(groups), 1.2 + 4.6 * (relative_height(*limits) or 1)), layout="compressed")
        panels = figure.subplots(1, len(groups), squeeze=False)[0]
        for axes, (name, points) in zip(panels, groups.items(), strict=True):
            draw_points(axes, points, name, limits, columns)
    else:
        figure = _corner(groups, shown, columns)
    write_title(figure, title)
    figure.savefig(path, dpi=120)


def _corner(groups: Mapping[str, np.ndarray], shown: np.ndarray, columns: Sequence[str]) -> Any:
    """Histograms of single columns, and scatter plots of pairs of them, in the range of the values `shown`."""
    from matplotlib.figure import Figure

    size = min(shown.shape[1], _MAX_CORNER_COLUMNS)
    figure = Figure(figsize=(1.6 * size + 1, 1.6 * size + 1), layout="constrained")
    grid = figure.subplots(size, size, squeeze=False)
    low, high = np.quantile(shown[:, :size].astype(np.float64), [0.005, 0.995], axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    for i in range(size):
        for j in range(size):
            axes = grid[i, j]
            if j > i:
                axes.axis("off")
                continue
            for label in reversed(list(groups)):
                values, color = groups[label], _COLORS[label]
                if i == j:
                    bins = np.linspace(low[i], high[i], 40)
                    axes.hist(values[:, i], bins=bins, density=True, histtype="step", color=color, label=label)
                else:
                    size_of_point = 1 if len(values) > 1000 else 4
                    axes.scatter(values[:, j], values[:, i], s=size_of_point, alpha=0.4, linewidths=0, color=color)
                    axes.set_ylim(low[i], high[i])
            axes.set_xlim(low[j], high[j])
            axes.tick_params(labelsize=6, labelbottom=i == size - 1, labelleft=j == 0 and i > 0)
            names = (columns[j] if i == size - 1 else "", columns[i] if j == 0 and i > 0 else "")
            name_axes(axes, names, fontsize=7)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    grid[0, -1].legend(handles, labels, fontsize=8, loc="upper right")  # in the empty half of the grid
    return figure


def save_latent_distributions(
    groups: dict[str, np.ndarray], base: Base, path: Path, title: str = "", *, is_narrow: bool = False
) -> None:
    """Draw histograms and Q-Q plots of groups of latents against the base distribution, one row per group.

    Args:
      groups: name -> values, any number of them.
      base: the distribution that the latents should have.
      path: the PNG file.
      title: what the picture shows; "" for none.
      is_narrow: whether a Q-Q plot is below its histogram, not beside it.
    """
    from matplotlib.figure import Figure

    columns = 1 if is_narrow else 2
    height = 0.8 + 3.0 * len(groups) * 2 / columns
    figure = Figure(figsize=(4.0 * columns, height), layout="constrained")
    rows = figure.subplots(len(groups) * 2 // columns, columns, squeeze=False).reshape(-1, 2)
    probabilities = (np.arange(500) + 0.5) / 500
    expected = base_quantiles(base, probabilities)
    low, high = min(expected[0], 0.0), max(expected[-1], 1.0)
    line = np.linspace(low, high, 400)
    density = np.exp(np.asarray(base.log_density(jnp.asarray(line, jnp.float32))))
    for (name, values), (left, right) in zip(groups.items(), rows, strict=True):
        left.hist(
            values.ravel(), bins=np.linspace(low - 0.5, high + 0.5, 80), density=True, color="tab:blue", alpha=0.6
        )
        left.plot(line, density, color="black", linewidth=1)
        left.set(title=f"{name}: {values.size:,} latents", xlabel="latent", ylabel="density")
        right.plot(expected, np.quantile(values.astype(np.float64), probabilities), color="tab:blue")
        right.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
        right.set(title="Q-Q", xlabel="quantile of the base", ylabel="quantile of the latents")
    write_title(figure, title)
    figure.savefig(path, dpi=120)


def base_quantiles(base: Base, probabilities: np.ndarray) -> np.ndarray:
    """Values below which a base distribution has the given probabilities; of draws, if its quantiles are not known."""
    from scipy.special import logit, ndtri

    if isinstance(base, Uniform):
        return probabilities
    if isinstance(base, Logistic):
        return logit(probabilities)
    if isinstance(base, Normal):
        return ndtri(probabilities)
    return np.quantile(np.asarray(base.sample(root_key(0), (_DRAWS,)), np.float64), probabilities)
