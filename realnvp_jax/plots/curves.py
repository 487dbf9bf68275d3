"""The metrics of a run as curves over its steps."""

import csv
import math
from pathlib import Path

import numpy as np

from realnvp_jax.plots.names import write_title


def save_curves(metrics: Path, path: Path, unit: str, title: str = "") -> None:
    """Draw the columns of a metrics.csv: training, and validation in both modes, over the steps."""
    from matplotlib.figure import Figure

    with metrics.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    curves = (
        ("train", "training batches"),
        ("validation_train_mode", "validation, batch statistics"),
        ("validation", "validation"),
    )
    values = []
    for column, label in curves:
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            steps, scores = zip(*points, strict=True)
            axes.plot(steps, scores, label=label, marker="." if len(points) < 40 else None)
            values.extend(scores)
    finite = np.array([v for v in values if math.isfinite(v)])
    if finite.size:
        low, high = finite.min(), np.quantile(finite, 0.95)
        axes.set_ylim(low - 0.05 * (high - low) - 1e-6, high + 0.05 * (high - low) + 1e-6)
        figure.legend(loc="outside lower center", ncols=len(curves), frameon=False)  # hides no points
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    write_title(figure, title)
    figure.savefig(path, dpi=150)
