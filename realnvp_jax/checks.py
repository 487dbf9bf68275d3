"""Checks of data at the door (values that are numbers, columns that vary) and of what a part returns."""

from collections.abc import Sequence

import jax
import numpy as np


def check_finite(values: jax.Array | np.ndarray, columns: Sequence[str] | None = None, what: str = "values") -> None:
    """Raise ValueError if an example of [n, ...] has a NaN or infinite value, or if there are no examples.

    Args:
      values: the examples.
      columns: names of the columns of a table [n, D]; None calls them by their numbers.
      what: what they are called in the message.
    """
    array = np.asarray(values)
    if len(array) == 0:
        raise ValueError("expected at least one example; got none")
    bad = ~np.isfinite(array)
    rows = bad.reshape(len(array), -1).any(axis=1)
    if rows.any():
        first = int(np.argmax(rows))
        where = f"row {first}"
        if array.ndim == 2:
            where += f", {_name(columns, int(np.argmax(bad[first])))}"
        raise ValueError(
            f"expected finite {what}; got NaN or infinite ones in {int(rows.sum())} of {len(array)} rows, the first in "
            f"{where} (rows are counted from 0): drop or fill them"
        )


def check_not_constant(values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError if a column of [n, D] with n > 1 has one value only: its density would be singular.

    Args:
      values: the examples.
      columns: names of the columns; None calls them by their numbers.
    """
    constant = np.flatnonzero((values == values[:1]).all(axis=0)) if len(values) > 1 else np.empty(0, int)
    if constant.size:
        column = int(constant[0])
        more = f" (and {constant.size - 1} more)" if constant.size > 1 else ""
        raise ValueError(
            f"expected columns that vary; got the constant {values[0, column]:g} in {_name(columns, column)}{more}: "
            "its density is singular, leave it out"
        )


def check_returned(part: object, what: str, values: jax.Array, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless what a part returned has this shape: another that broadcasts would count wrongly.

    Args:
      part: a transform, a bijection, a base or a dequantizer.
      what: what the values are called in the message.
      values: what it returned.
      shape: what it should have.
    """
    if np.shape(values) != shape:
        raise ValueError(f"expected {type(part).__name__} to return {what} of shape {shape}; got {np.shape(values)}")


def _name(columns: Sequence[str] | None, column: int) -> str:
    return f"column {column}" if columns is None else f"column {columns[column]!r}"
