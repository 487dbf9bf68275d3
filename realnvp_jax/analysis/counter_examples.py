"""Data that a flow should find unusual, made from data like those that it was trained on."""

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

NOISE, BLANK = "uniform noise", "blank"
SHUFFLED, BOX = "columns shuffled", "uniform in a box"


def counter_images(x: UInt8[np.ndarray, "n height width channels"], levels: int) -> dict[str, np.ndarray]:
    """Images of the same shape and levels, by name: changed ones, noise, and blank ones.

    Args:
      x: images.
      levels: number of values of a pixel.
    """
    blurred = gaussian_filter(x.astype(float), (0, 1, 1, 0))
    return {
        "upside down": x[:, ::-1],
        "mirrored": x[:, :, ::-1],
        "blurred (standard deviation of one pixel)": np.clip(np.rint(blurred), 0, levels - 1).astype(np.uint8),
        NOISE: np.random.default_rng(0).integers(0, levels, x.shape).astype(np.uint8),
        BLANK: np.zeros_like(x),
    }


def counter_vectors(x: Float[np.ndarray, "n d"]) -> dict[str, np.ndarray]:
    """Vectors of as many columns, by name.

    The columns shuffled independently of each other (left out for a single column) keep their distributions and lose
    their dependence. Uniform values cover a box that is twice as wide as the data.

    Args:
      x: vectors.
    """
    rng = np.random.default_rng(0)
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    box = rng.uniform(low - (high - low) / 2, high + (high - low) / 2, x.shape).astype(x.dtype)
    if x.shape[1] == 1:
        return {BOX: box}
    return {SHUFFLED: rng.permuted(x, axis=0), BOX: box}
