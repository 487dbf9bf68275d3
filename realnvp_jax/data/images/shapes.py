"""Generated black-and-white images of rectangles, discs and triangles; the same seed gives the same images."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Integer, UInt8

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import STREAMS, Examples
from realnvp_jax.registry import parameter, register

SIZE = 20  # height and width
KINDS = ("rectangle", "disc", "triangle")

_NUM = {"validation": 2000, "test": 10_000}


@register("dataset", "shapes")
@dataclasses.dataclass(frozen=True)
class Shapes(DataSet):
    """Generated shapes, with 2,000 images for validation and 10,000 for the test.

    Attributes:
      num_train: number of training images.
      seed: seed of the images.
    """

    name: str = "shapes"
    num_train: int = parameter(100_000, "training examples to generate", at_least=1, at_most=10**6)
    seed: int = 0
    split_names: ClassVar[tuple[str, ...]] = tuple(STREAMS)
    levels: ClassVar[int] = 2

    def load(self, split: str) -> Examples:
        """The images of a split."""
        images, kinds = sample_labelled_shapes(_NUM.get(split, self.num_train), (self.seed, STREAMS[split]))
        return Examples(images, labels=kinds, classes=KINDS)


def sample_shapes(num: int, seed: int | Sequence[int]) -> UInt8[np.ndarray, "num 20 20 1"]:
    """The images of `sample_labelled_shapes`."""
    return sample_labelled_shapes(num, seed)[0]


def sample_labelled_shapes(
    num: int, seed: int | Sequence[int]
) -> tuple[UInt8[np.ndarray, "num 20 20 1"], Integer[np.ndarray, " num"]]:
    """Draw 20x20 images, each of one white shape (1) on black (0).

    A third are axis-aligned rectangles with sides of 4 to 13 pixels, a third discs of radius 2.5 to 6.5, and a third
    triangles whose corners lie on a circle of radius 5 to 8, in three directions at least 75 degrees apart. All
    positions at which the shape lies within the image are equally likely. A pixel is white if its centre lies in the
    shape. Of 20,000 images 18,400 are distinct, and 14% of newly drawn images are among them.

    Returns:
      (images, the index of each one's kind in `KINDS`).

    Raises:
      ValueError: num is less than 1.
    """
    if num < 1:
        raise ValueError(f"expected at least one image of shapes; got num={num}")
    rng = np.random.default_rng(seed)
    kinds = rng.integers(3, size=num)
    images = np.empty((num, SIZE, SIZE), bool)
    for kind, draw in enumerate((_rectangles, _discs, _triangles)):
        images[kinds == kind] = draw(rng, int((kinds == kind).sum()))
    return images.astype(np.uint8)[..., None], kinds


_ROWS, _COLUMNS = np.indices((SIZE, SIZE)) + 0.5  # centres of the pixels
_PixelMasks = Bool[np.ndarray, "num 20 20"]


def _rectangles(rng: np.random.Generator, num: int) -> _PixelMasks:
    sides = rng.integers(4, 14, (num, 2))
    corners = rng.integers(0, SIZE - sides + 1)
    inside = [
        (centres >= corners[:, i, None, None]) & (centres < (corners + sides)[:, i, None, None])
        for i, centres in enumerate((_ROWS, _COLUMNS))
    ]
    return inside[0] & inside[1]


def _discs(rng: np.random.Generator, num: int) -> _PixelMasks:
    radius = rng.uniform(2.5, 6.5, (num, 1, 1))
    row, column = rng.uniform(radius, SIZE - radius, (2, num, 1, 1))
    return (_ROWS - row) ** 2 + (_COLUMNS - column) ** 2 <= radius**2


def _triangles(rng: np.random.Generator, num: int) -> _PixelMasks:
    free = rng.dirichlet(np.ones(3), num) * np.radians(360 - 3 * 75)  # angles in excess of 75 degrees
    angles = rng.uniform(0, 2 * np.pi, (num, 1)) + np.cumsum(free + np.radians(75), axis=1)
    corners = rng.uniform(5, 8, (num, 1, 1)) * np.stack([np.sin(angles), np.cos(angles)], axis=2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    corners = corners + rng.uniform(-low, SIZE - high)[:, None]
    inside = np.ones((num, SIZE, SIZE), bool)
    for i in range(3):
        (row, column), (next_row, next_column) = np.moveaxis(corners[:, [i, (i + 1) % 3]], (1, 2), (0, 1))[
            ..., None, None
        ]
        side = (next_column - column) * (_ROWS - row) - (next_row - row) * (_COLUMNS - column)
        inside &= side >= 0
    return inside
