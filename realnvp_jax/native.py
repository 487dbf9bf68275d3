"""Convert a user's data to arrays that JAX takes: any byte order, long doubles, data frames, lists of numbers.

Values with an exact counterpart are converted; an error says where any others are. Long doubles are rounded to float64,
just as float64 is rounded to float32 later.
"""

from typing import Any

import jax
import numpy as np

from realnvp_jax.text import describe_error, shorten


def native_array(values: Any, what: str = "values", *, booleans: bool = False) -> jax.Array | np.ndarray:
    """Convert to an array with a native dtype; JAX arrays are returned as they are.

    Args:
      values: an array, a data frame or a structured array (whose columns become the last axis), or nested lists.
      what: what the values are called in messages.
      booleans: whether columns of booleans become numbers, 0 and 1, like those of a table; otherwise they are refused.

    Raises:
      TypeError: there are values that are not numbers, such as categories, dates or text.
      ValueError: lists are ragged, entries are masked, or a long double overflows float64.
    """
    if isinstance(values, jax.Array):
        return values
    if hasattr(values, "columns") and hasattr(values, "iloc"):  # a data frame
        columns = [_column(values.iloc[:, i], name, what, booleans) for i, name in enumerate(values.columns)]
        return np.stack(columns, axis=-1) if columns else np.empty((len(values), 0))
    if hasattr(values, "iloc"):  # one column
        return _column(values, values.name, what, booleans)
    if np.ma.is_masked(values):
        raise ValueError(f"expected {what} without masked entries; got a masked array: fill or drop them")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"expected {what} to be an array of numbers; got {describe_error(error)}") from None
    if array.dtype.names is not None:
        return np.stack([_numbers(array[name], what, f" in column {name!r}") for name in array.dtype.names], axis=-1)
    return _numbers(array, what, booleans=booleans)


def device_array(values: Any, dtype: Any) -> jax.Array:
    """Values on the device in a native dtype; the transfer is an explicit one, which `jax.transfer_guard` allows."""
    if isinstance(values, jax.Array):
        return values.astype(dtype)
    with np.errstate(over="ignore"):
        return jax.device_put(np.asarray(values, dtype))


def _column(series: Any, name: Any, what: str, booleans: bool) -> np.ndarray:
    """A column of a data frame; missing values become NaN."""
    dtype, where = series.dtype, f" in column {shorten(name)}"
    if isinstance(dtype, np.dtype):
        array = np.asarray(series)
    elif dtype.kind not in ("biuf" if booleans else "iuf"):
        raise _not_numbers(what, dtype, where)
    elif series.isna().any():
        array = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        array = series.to_numpy(dtype={"b": np.uint8, "i": np.int64, "u": np.uint64, "f": np.float64}[dtype.kind])
    if array.dtype.kind == "b":
        if not booleans:
            raise _not_numbers(what, dtype, where)
        array = array.astype(np.uint8)
    return _numbers(array, what, where, booleans)


def _numbers(array: np.ndarray, what: str, where: str = "", booleans: bool = False) -> np.ndarray:
    """The array with a native dtype of numbers."""
    dtype = array.dtype
    if dtype.kind == "O":
        converted = np.asarray(array.tolist())
        if converted.dtype.kind not in ("biuf" if booleans else "iuf") or converted.shape != array.shape:
            raise _not_numbers(what, dtype, where or _first_other(array))
        array = converted
    elif dtype.kind in "USMm":
        raise _not_numbers(what, dtype, where)
    elif dtype.kind == "f" and dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            rounded = array.astype(np.float64)
        if (np.isinf(rounded) & np.isfinite(array)).any():
            raise ValueError(
                f"expected {what} in the range of float64; got larger ones of {dtype}{where}: rescale them"
            )
        array = rounded
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _first_other(array: np.ndarray) -> str:
    """Where the first entry is that is not a number."""
    for place in np.ndindex(array.shape):
        if not isinstance(array[place], (int, float, np.number)):
            return f", {shorten(array[place])} at {place}"
    return ""


def _not_numbers(what: str, dtype: Any, where: str) -> TypeError:
    return TypeError(f"expected {what} to be numbers; got {shorten(dtype)}{where}: convert or drop them")
