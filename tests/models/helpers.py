"""Points, and the couplings of vector flows."""

import numpy as np


def pairs_of(params, collection: str = "params"):
    """Variables of the pairs of coupling layers, with their leading axis."""
    return params[collection]["bijection"]["pairs"]["layer"]["bijection"]


def points(num_dims: int = 3, num: int = 200) -> np.ndarray:
    """Correlated, of differing scales."""
    random = np.random.default_rng(0)
    mixed = random.standard_normal((num, num_dims)) @ random.standard_normal((num_dims, num_dims))
    return (mixed * [1, 20, 0.1, 5, 2][:num_dims] + [0, 100, 1, -3, 7][:num_dims]).astype(np.float32)
