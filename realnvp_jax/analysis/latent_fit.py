"""Do the latents of data follow the base distribution? Their largest difference in cumulative probability."""

import math

import jax
import numpy as np

from realnvp_jax.base import Base
from realnvp_jax.random import root_key

_DRAWS = 100_000  # from the base; their own distance from it is about 0.003
_BY_CHANCE = 1.63  # times 1/sqrt(n): the 99% quantile of the distance of n independent draws, for large n


def distance_from_base(values: np.ndarray, base: Base) -> float:
    """The Kolmogorov-Smirnov distance of values of any shape from draws of a base distribution: 0 to 1.

    Pooled elements of latents are not independent, so this is a size of the difference, not the statistic of a test.
    NaN if a value is NaN.
    """
    values = np.sort(np.asarray(values, np.float64).ravel())
    if not values.size or np.isnan(values).any():
        return float("nan")
    draws = np.sort(np.asarray(jax.device_get(base.sample(root_key(0), (_DRAWS,))), np.float64))
    places = np.concatenate([values, draws])
    of_values, of_draws = (np.searchsorted(part, places, side="right") / len(part) for part in (values, draws))
    return float(np.abs(of_values - of_draws).max())


def distance_by_chance(num: int) -> float:
    """The distance that so many independent draws from the base itself exceed in about 1% of all cases."""
    return _BY_CHANCE / math.sqrt(num)
