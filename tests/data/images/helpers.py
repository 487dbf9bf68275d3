"""Random pictures, and a source that counts."""

import io

import numpy as np
from PIL import Image

from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.source import Source

SPLITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}


def pixels(*shape: int, seed: int = 0, levels: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def counted_source(num: int = 1100, fail_at: int | None = None) -> tuple[Source, list[int]]:
    """A source of 4x3x1 images whose pixels say their number, and the numbers that were read."""
    reads: list[int] = []

    def read(framing: Framing, i: int) -> np.ndarray:
        reads.append(i)
        if i == fail_at:
            raise RuntimeError("stop")
        if i == 7:
            raise BadPictureError("seven")
        return framing.frame(np.full((4, 3, 1), i % 251, np.uint8))

    return Source("numbers", {"kind": "test", "num": num}, num, read, files=[f"{i}.png" for i in range(num)]), reads
