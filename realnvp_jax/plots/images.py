"""Grids of images."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8


def save_image_grid(
    images: UInt8[np.ndarray, "n height width channels"], levels: int, path: Path, columns: int | None = None
) -> None:
    """Write images as one PNG, in rows, small images enlarged without smoothing.

    Args:
      images: pixels in [0, levels), one channel or three.
      levels: number of values of a pixel; the highest is drawn white.
      path: the file.
      columns: images in a row; None for as many as there are rows.
    """
    from PIL import Image

    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
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
