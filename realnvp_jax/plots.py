"""Pictures of a run: sample grids and curves."""

import csv
import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


def save_image_grid(images: UInt8[np.ndarray, "n height width channels"], levels: int, path: Path) -> None:
    """Write images as one PNG, in rows, small images enlarged without smoothing.

    Args:
      images: pixels in [0, levels), one channel or three.
      levels: number of values of a pixel; the highest is drawn white.
      path: the file.
    """
    from PIL import Image

    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    zoom = max(1, 64 // max(height, width))
    gap = 2
    canvas = np.full((rows * (height * zoom + gap) + gap, columns * (width * zoom + gap) + gap, 3), 96, np.uint8)
    scaled = np.round(images.astype(np.float64) * 255 / (levels - 1)).astype(np.uint8)
    scaled = np.broadcast_to(scaled[..., :3] if channels >= 3 else scaled[..., :1], (count, height, width, 3))
    for i, image in enumerate(scaled.repeat(zoom, axis=1).repeat(zoom, axis=2)):
        top = gap + (i // columns) * (height * zoom + gap)
        left = gap + (i % columns) * (width * zoom + gap)
        canvas[top : top + height * zoom, left : left + width * zoom] = image
    temporary = path.with_name(path.name + ".tmp")
    Image.fromarray(canvas).save(temporary, format="PNG")
    temporary.replace(path)


def save_curves(metrics: Path, path: Path, unit: str) -> None:
    """Draw the columns of a metrics.csv: training, and validation in both modes, over the steps."""
    from matplotlib.figure import Figure

    with metrics.open() as file:
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
        axes.legend()
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
