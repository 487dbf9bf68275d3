"""Discrete columns: found before training, and dequantized.

The density of a column whose values repeat has no upper bound: the narrower the peaks at the values, the larger it is.
Therefore a column counts as discrete if

- at least 5% of up to 1,000 of its rows, equally far apart, share their value with another of them. (Of 1,000 normally
  distributed values, 5% do so if they are rounded to 1/5,000 of their standard deviation, a step too small to matter
  for a density; of float32 values, 0.1% do.) Or
- its values are distinct whole numbers with few gaps, like row numbers.

Uniform noise turns values v of a grid of spacing h into continuous ones, v + u with u in [-h/2, h/2). For their density
p and the probability P of a value, E_u[log p(v + u)] + log h <= log P(v), by Jensen's inequality.
"""

import dataclasses
import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from realnvp_jax.text import shorten

CHOICES = ("refuse", "dequantize", "drop", "continuous")
_SAMPLE = 1000
_SHARE = 0.05
_FINEST = 1e-4  # spacing of a grid, in standard deviations
_MOST_SITES = 4  # whole numbers in the range per row, for values that count as row numbers


@dataclasses.dataclass(frozen=True)
class Grid:
    """Equally spaced values, origin + k * spacing."""

    origin: float
    spacing: float

    def round(self, values: np.ndarray) -> np.ndarray:
        """The nearest values on the grid."""
        return (self.origin + self.spacing * np.round((values - self.origin) / self.spacing)).astype(values.dtype)


def find_discrete(values: np.ndarray) -> list[int]:
    """The positions of the discrete columns of [n, D]."""
    if len(values) < 2:
        return []
    sample = values[np.linspace(0, len(values) - 1, min(_SAMPLE, len(values))).round().astype(int)]
    ordered = np.sort(sample, axis=0)
    equal = ordered[1:] == ordered[:-1]
    tied = np.zeros(ordered.shape, bool)
    tied[1:] |= equal
    tied[:-1] |= equal
    repeated = tied.mean(axis=0) >= _SHARE
    whole = (sample == np.round(sample)).all(axis=0) & ~repeated
    return [i for i in range(values.shape[1]) if repeated[i] or (whole[i] and _numbers_rows(values[:, i]))]


def _numbers_rows(values: np.ndarray) -> bool:
    if (values != np.round(values)).any() or np.abs(values).max() > 2**53:
        return False
    steps = np.diff(np.unique(values.astype(np.int64)))
    return len(steps) == len(values) - 1 and steps.sum() // np.gcd.reduce(steps) <= _MOST_SITES * len(values)


def describe_discrete(values: np.ndarray, column: str) -> str:
    """Say why a column with values [n] is discrete."""
    _, counts = np.unique(values, return_counts=True)
    repeated = counts[counts > 1]
    if not repeated.size:
        return f"column {shorten(column, 40)}, which numbers the rows (its values are distinct whole numbers)"
    value = f"one of {repeated.size:,} values" if repeated.size > 1 else "one value"
    return (
        f"{repeated.sum() / len(values):.0%} of the rows of column {shorten(column, 40)} repeat {value}: "
        "its density has no upper bound"
    )


def discrete_error(values: np.ndarray, columns: Sequence[str], found: Sequence[int]) -> ValueError:
    """The error to raise for discrete columns, at positions `found` of [n, D]; row numbers come first."""
    row_numbers = [i for i in found if _numbers_rows(values[:, i])]
    alike = row_numbers or list(found)
    others = [columns[i] for i in alike[1:]]
    more = f" (likewise {shorten(', '.join(others), 40)})" if others else ""
    remedy = (
        "leave such columns out with --config.dataset.drop, or, if they were measured, set --config.dataset.discrete "
        "to dequantize"
        if row_numbers
        else "set --config.dataset.discrete to dequantize (adds noise), drop, or continuous (as they are), or leave "
        "columns out with --config.dataset.drop"
    )
    return ValueError(
        f"expected continuous columns; got {describe_discrete(values[:, alike[0]], columns[alike[0]])}{more}: {remedy}"
    )


def find_grid(values: np.ndarray, column: str) -> Grid:
    """The grid of the values [n] of a discrete column.

    Raises:
      ValueError: they are not equally spaced.
    """
    distinct = np.unique(values.astype(np.float64))
    gaps = np.diff(distinct)
    if gaps.size:
        steps = np.cumsum(np.round(gaps / gaps.min()))
        spacing = float((distinct[-1] - distinct[0]) / steps[-1])
        is_coarse = (
            spacing >= _FINEST * values.std() or (distinct == np.round(distinct)).all()
        )  # not the grid of float32 numbers
        if is_coarse and np.abs(distinct[1:] - distinct[0] - spacing * steps).max() <= 0.05 * spacing:
            return Grid(float(distinct[0]), spacing)
    raise ValueError(
        f"expected equally spaced values, for dataset.discrete=dequantize; got {distinct.size:,} values of column "
        f"{shorten(column, 40)} that are not: leave it out with --config.dataset.drop, or use continuous"
    )


def dequantize_columns(
    values: np.ndarray, columns: Sequence[str], grids: Mapping[str, Grid], seed: Sequence[int]
) -> np.ndarray:
    """[n, D] with uniform noise, as wide as the spacing, added to the columns that have a grid.

    The noise depends only on the seed, the column's name and the row's number.
    """
    if not grids:
        return values
    noisy = values.astype(np.float64)
    for i, column in enumerate(columns):
        if column in grids:
            noise = np.random.default_rng([*seed, zlib.crc32(column.encode())]).random(len(values)) - 0.5
            noisy[:, i] += grids[column].spacing * noise
    return noisy


def mass_bound(mean: float, grids: Mapping[str, Grid]) -> float:
    """Lower bound, in nats, on the mean log of the dequantized columns' probability times the other columns' density.

    Args:
      mean: mean log-density of the dequantized values.
      grids: grids of the dequantized columns.
    """
    return mean + sum(math.log(grid.spacing) for grid in grids.values())
