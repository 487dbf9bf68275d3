"""Pickled DataFrames of any version of pandas, read without executing anything (see `data.pickle_records`).

The table itself is plain data inside: a BlockManager with the axes (column names, row labels) and blocks of values
[k, n], each with the k positions of its columns. Since pandas 1.3 both are the manager's arguments; before, its state
was (..., ..., ..., {"0.14.1": {"axes": axes, "blocks": [{"values": [k, n], "mgr_locs": k positions}, ...]}}).
"""

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.limits import MOST_FILE_BYTES, MOST_VALUES, check_file_size
from realnvp_jax.data.pickle_records import Record, read_pickle
from realnvp_jax.text import describe_error, shorten


def read_frame(path: Path) -> Any:
    """The pandas DataFrame in a pickle, written by any version of pandas. No code in the file is executed.

    Raises:
      ValueError: the file is not a pickled DataFrame of numbers, or is larger than 4 GiB.
    """
    import pandas as pd

    check_file_size(path, MOST_FILE_BYTES)
    try:
        columns, values = _contents(read_pickle(path))
    except Exception as error:  # a pickle of anything else can fail anywhere
        problem = error if isinstance(error, ValueError) else describe_error(error)
        raise ValueError(
            f"expected a pickled DataFrame of numbers in {shorten(path.name)}; got {shorten(problem, 150)}: "
            "read it with pandas, if you trust it, and save a table of numbers"
        ) from None
    return pd.DataFrame(values, columns=columns, copy=False)


def _contents(frame: Any) -> tuple[list[str], np.ndarray]:
    """The names of the columns, and the values [n, D] as float64."""
    name = frame.name if isinstance(frame, Record) else f"builtins.{type(frame).__name__}"
    if name.split(".")[0] != "pandas" or not name.endswith(".DataFrame"):
        raise ValueError(name.removeprefix("builtins."))
    (manager,) = (value for value in frame.state.values() if _is_call(value, "BlockManager"))
    if manager.args:
        blocks, axes = manager.args[:2]
        blocks = [block.args[:2] for block in blocks]
    else:
        contents = manager.state[3]["0.14.1"]
        axes = contents["axes"]
        blocks = [(block["values"], block["mgr_locs"]) for block in contents["blocks"]]
    columns = next(_texts(axes[0], set()))
    num_rows = _shape(blocks[0][0])[1]
    if num_rows * len(columns) > MOST_VALUES:
        raise ValueError(f"{num_rows:,} rows of {len(columns):,} columns, more than {MOST_VALUES:,} values")
    values, missing = np.empty((num_rows, len(columns))), set(range(len(columns)))
    for block, places in blocks:
        positions = _positions(places, len(columns))
        values[:, positions] = _array(block).T
        missing -= set(positions.tolist())
    if missing:
        raise ValueError(f"no values in column {min(missing)}")
    return columns, values


def _is_call(value: Any, name: str) -> bool:
    return isinstance(value, Record) and value.name.split(".")[-1] == name


def _positions(places: Any, num: int) -> np.ndarray:
    if _is_call(places, "slice"):
        return np.arange(num)[slice(*places.args)]
    return np.arange(num)[_array(places)]


def _texts(value: Any, seen: set[int]) -> Iterator[list[str]]:
    """Every array of text inside a value, as a list."""
    if id(value) in seen or len(seen) > 1000:
        return
    seen.add(id(value))
    if _is_call(value, "_restore_array"):  # of pyarrow
        yield _arrow_texts(*value.args[0])
    elif _is_call(value, "_reconstruct") and _dtype_text(value.state[2]).startswith("O"):
        yield list(map(str, _list(value.state[4])))
    elif isinstance(value, Record):
        yield from _texts([value.args, value.state], seen)
    elif isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item, seen)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(item, (str, int)) for item in value):
        raise ValueError("columns whose names are not text")
    return value


def _arrow_texts(kind: Any, length: int, _nulls: int, offset: int, buffers: list[Any], *_rest: Any) -> list[str]:
    """Texts of Arrow: text i lies between offsets i and i + 1 of the last buffer."""
    places, content = (bytes(_content(buffer.args[0])) for buffer in buffers[1:3])
    bounds = np.frombuffer(places, np.int64 if kind.args[0] == "large_string" else np.int32)
    bounds = bounds[offset : offset + length + 1].tolist()
    return [content[start:end].decode() for start, end in itertools.pairwise(bounds)]


def _dtype_text(dtype: Any) -> str:
    if not _is_call(dtype, "dtype") or not isinstance(dtype.args[0], str):
        raise ValueError("an array without a dtype")
    return dtype.args[0]


def _shape(array: Any) -> tuple[int, ...]:
    shape = array.args[2] if _is_call(array, "_frombuffer") else array.state[1]
    if not isinstance(shape, tuple) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError("an array without a shape")
    return shape


def _array(array: Any) -> np.ndarray:
    """The array of numbers that a call of NumPy would have made."""
    if _is_call(array, "_frombuffer"):
        content, dtype, _, order = array.args
    elif _is_call(array, "_reconstruct"):
        _, _, dtype, is_fortran, content = array.state
        order = "F" if is_fortran else "C"
    else:
        name = array.name if isinstance(array, Record) else type(array).__name__
        raise ValueError(f"{name} instead of an array of numbers")
    text, shape = _dtype_text(dtype), _shape(array)
    if not re.fullmatch(r"[biuf]\d{1,2}", text):
        raise ValueError(f"an array of {shorten(text)} instead of numbers")
    kind = np.dtype(text).newbyteorder(dtype.state[1])
    content = _content(content)
    if len(content) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"{len(content):,} bytes for an array of shape {shape}")
    return np.frombuffer(content, kind).reshape(shape, order=order)


def _content(content: Any) -> bytes | bytearray:
    if _is_call(content, "encode") or _is_call(content, "bytearray"):  # how Python 3 writes bytes for Python 2
        return _content(content.args[0])
    if isinstance(content, str):
        return content.encode("latin-1")
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError(f"{type(content).__name__} instead of the bytes of an array")
    return content
