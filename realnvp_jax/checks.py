"""Checks of input data (finite values, columns that vary) and of what a part returns."""

import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

SMALLEST_DEVIATION = 1e-30  # float32 has no number below 1.2e-38, and relative steps of 1.2e-7
FEWEST_STEPS = 1000  # float32 steps per standard deviation
FEWEST_STEPS_OF_CONTEXT = 100  # a batch of it may be narrower than all of it


def check_finite(values: jax.Array | np.ndarray, columns: Sequence[str] | None = None, what: str = "values") -> None:
    """Raise ValueError if an example of [n, ...] has a NaN or infinite value, or if there are no examples.

    Args:
      values: the examples.
      columns: names of the columns of a table [n, D]; None to call them by their numbers.
      what: what the values are called in the message.
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
    """Raise ValueError if a column of [n, D] with n > 1 is constant: its density would be singular.

    Args:
      values: the examples.
      columns: names of the columns; None to call them by their numbers.
    """
    constant = np.flatnonzero((values == values[:1]).all(axis=0)) if len(values) > 1 else np.empty(0, int)
    if constant.size:
        column = int(constant[0])
        more = f" (and {constant.size - 1} more)" if constant.size > 1 else ""
        raise ValueError(
            f"expected columns that vary; got the constant {values[0, column]:g} in {_name(columns, column)}{more}: "
            "its density is singular, leave it out"
        )


def check_context_scale(values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError if rounding to float32 leaves few steps in a column of a context [n, K].

    Constant columns are allowed, and so are those that rounding does not change. Nothing is checked if JAX computes in
    float64.
    """
    if jax.dtypes.canonicalize_dtype(np.float64) != np.float32:
        return
    values = values.astype(np.float64)
    with np.errstate(over="ignore"):
        is_rounded = (values.astype(np.float32) != values).any(axis=0)
    checked = np.flatnonzero(is_rounded & (values != values[:1]).any(axis=0)).tolist()
    if checked:
        names = [f"{_name(columns, i)} of the context" for i in checked]
        _check_scale(values[:, checked], names, FEWEST_STEPS_OF_CONTEXT)


def check_scale(values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError if float32 cannot hold a column of [n, D]: values too small, or an offset that leaves few steps.

    Args:
      values: the examples, as float64 or integers; no column is constant.
      columns: names of the columns; None to call them by their numbers.
    """
    _check_scale(values, [_name(columns, i) for i in range(values.shape[1])], FEWEST_STEPS)


def _check_scale(values: np.ndarray, names: Sequence[str], fewest_steps: int) -> None:
    deviation, largest = values.std(axis=0, dtype=np.float64), np.abs(values).max(axis=0)
    small = np.flatnonzero(deviation < SMALLEST_DEVIATION)
    if small.size:
        column = int(small[0])
        raise ValueError(
            f"expected columns with a standard deviation of at least {SMALLEST_DEVIATION:g}, for float32; got "
            f"{deviation[column]:.3g} in {names[column]}: scale the column up"
        )
    steps = np.spacing(largest.astype(np.float32)).astype(np.float64)
    coarse = np.flatnonzero(deviation < fewest_steps * steps)
    if coarse.size:
        column = int(coarse[0])
        raise ValueError(
            f"expected values that float32 can tell apart; got {names[column]} with values up to "
            f"{largest[column]:.10g} and a standard deviation of {deviation[column]:.3g}, where float32 has steps of "
            f"{steps[column]:.3g}: subtract an offset from the column, such as its smallest value, "
            f"{values[:, column].min():.10g}"
        )


def check_distinct(values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError if two columns of [n, D] have the same values: their density would be singular.

    Args:
      values: the examples.
      columns: names of the columns; None to call them by their numbers.
    """
    seen: dict[bytes, int] = {}
    for i, column in enumerate(np.ascontiguousarray(values.T)):
        first = seen.setdefault(hashlib.sha256(column.tobytes()).digest(), i)
        if first != i:
            raise ValueError(
                f"expected columns that differ; got the same values in {_name(columns, first)} and "
                f"{_name(columns, i)}: their density is singular, leave one out"
            )


def check_independent(values: np.ndarray, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError if columns of [n, D] are linear functions of each other: their density would be singular.

    That is the case if the smallest eigenvalue of the correlation matrix is below 1e-9, or within four times of what
    rounding to JAX's floating-point type adds to it, which an offset of many standard deviations makes large. Tables
    with more than 500 columns, or with no more distinct rows than columns, are not checked.

    Args:
      values: the examples, as the flow gets them; the columns vary.
      columns: names of the columns; None to call them by their numbers.
    """
    rows, num_columns = values.shape
    if not 1 < num_columns <= min(rows - 1, 500):
        return
    x = values[:: -(-rows // 100_000)].astype(np.float64)
    precision = jax.dtypes.canonicalize_dtype(np.float64)
    steps = np.spacing(np.abs(x).max(axis=0).astype(precision)).astype(np.float64)
    x -= x.mean(axis=0)
    deviations = x.std(axis=0)
    if not (deviations > 0).all():
        return  # constant in these rows
    eigenvalues, vectors = np.linalg.eigh(np.cov(x / deviations, rowvar=False))
    rounding = np.sum(np.square(vectors[:, 0] * steps / deviations)) / 12  # the variance of uniform rounding errors
    if eigenvalues[0] < 1e-9 + 4 * rounding and len(np.unique(x, axis=0)) > num_columns:
        involved = np.flatnonzero(np.abs(vectors[:, 0]) > 1e-3)
        names = ", ".join(_name(columns, int(i)) for i in involved[:4]) + (", ..." if len(involved) > 4 else "")
        raise ValueError(
            f"expected columns that are not linear functions of each other; got such a relation between {names}: "
            "their density is singular, leave one out, or add noise"
        )


def check_returned(part: object, what: str, values: jax.Array, shape: tuple[Any, ...]) -> None:
    """Raise ValueError unless a part's result has this shape: another one might broadcast to a wrong sum.

    Args:
      part: a transform, a bijection, a base or a dequantizer.
      what: what the values are called in the message.
      values: what the part returned.
      shape: the shape that they should have.
    """
    if np.shape(values) != shape:
        raise ValueError(f"expected {type(part).__name__} to return {what} of shape {shape}; got {np.shape(values)}")


def _name(columns: Sequence[str] | None, column: int) -> str:
    return f"column {column}" if columns is None else f"column {columns[column]!r}"
