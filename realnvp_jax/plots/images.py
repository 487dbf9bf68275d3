"""Grids of images."""

import math
from collections.abc import Collection
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

_FRAME = (255, 140, 0)
_LINE = 16  # height of a line of the title, in pixels


def save_image_grid(
    images: UInt8[np.ndarray, "n height width channels"],
    levels: int,
    path: Path,
    columns: int | None = None,
    title: str = "",
    framed: Collection[int] = (),
) -> None:
    """Write images as one PNG, in rows; small images are enlarged without smoothing.

    Args:
      images: pixels in [0, levels), with one or three channels.
      levels: number of values of a pixel; the highest is drawn white.
      path: the file.
      columns: images in a row; None for as many as there are rows.
      title: text above the images, in as many lines as it needs; "" for none.
      framed: indices of the images that get a coloured frame.
    """
    from PIL import Image

    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    zoom = max(1, 64 // max(height, width))
    gap = 2
    canvas = np.full((rows * (height * zoom + gap) + gap, columns * (width * zoom + gap) + gap, 3), 96, np.uint8)
    places = [
        (gap + i // columns * (height * zoom + gap), gap + i % columns * (width * zoom + gap)) for i in range(count)
    ]
    for top, left in (places[i] for i in framed):
        canvas[top - gap : top + height * zoom + gap, left - gap : left + width * zoom + gap] = _FRAME
    scaled = np.round(images.astype(np.float64) * 255 / (levels - 1)).astype(np.uint8)
    scaled = np.broadcast_to(scaled[..., :3] if channels >= 3 else scaled[..., :1], (count, height, width, 3))
    for (top, left), image in zip(places, scaled.repeat(zoom, axis=1).repeat(zoom, axis=2), strict=True):
        canvas[top : top + height * zoom, left : left + width * zoom] = image
    if title:
        canvas = np.concatenate([_title(title, canvas.shape[1]), canvas])
    temporary = path.with_name(path.name + ".tmp")
    Image.fromarray(canvas).save(temporary, format="PNG")
    temporary.replace(path)


def _title(text: str, width: int) -> UInt8[np.ndarray, "height width 3"]:
    """A strip with the text, wrapped between words to the width of the strip."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=11)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - 8:
            lines.append(word)
        else:
            lines[-1] = longer
    strip = Image.new("RGB", (width, _LINE * len(lines)), "white")
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((4, _LINE * i + 1), line, fill="black", font=font)
    return np.asarray(strip)
