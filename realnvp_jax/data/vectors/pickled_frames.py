"""Pickled DataFrames of any version of pandas, read without executing anything (see `data.pickle_records`).

The table itself is plain data inside: a BlockManager with the axes (column names, row labels) and blocks of values
[k, n], each with the k positions of its columns. Since pandas 1.3 both are the manager's arguments; before, its state
was (..., ..., ..., {"0.14.1": {"axes": axes, "blocks": [{"values": [k, n], "mgr_locs": k positions}, ...]}}).
"""

import itertools
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.limits import MOST_FILE_BYTES, MOST_VALUES, check_file_size
from realnvp_jax.data.pickle_records import Name, Record, read_pickle
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
    columns = _names(axes[0])
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


def _names(axis: Any) -> list[str]:
    """The names in a plain Index of text. An index of another kind keeps its names in another way, or out of order."""
    if not _is_call(axis, "_new_Index"):
        raise ValueError(f"column names in {_kind(axis)} instead of an Index")
    kind, contents = axis.args
    if not isinstance(kind, Name) or kind.text.split(".")[-1] != "Index":
        raise ValueError(f"column names in {_kind(kind)} instead of an Index of text")
    return _texts(contents["data"])


def _texts(array: Any) -> list[str]:
    """The elements of an array of text: of Arrow, of pandas around an array of NumPy, or of NumPy."""
    if _is_call(array, "ArrowStringArray") or _is_call(array, "ArrowStringArrayNumpySemantics"):
        (restored,) = (value for value in array.state.values() if _is_call(value, "_restore_array"))
        return _arrow_texts(*restored.args[0])
    if _is_call(array, "__pyx_unpickle_NDArrayBacked") and _kind(array.args[0]).startswith("StringArray"):
        return _texts(array.state[1])
    if not _is_call(array, "_reconstruct") or not _dtype_text(array.state[2]).startswith("O"):
        raise ValueError("columns whose names are not text")
    return list(map(str, _list(array.state[4])))


def _kind(value: Any) -> str:
    """The name of a class, or of what made an object, without its module."""
    text = value.text if isinstance(value, Name) else value.name if isinstance(value, Record) else type(value).__name__
    return text.split(".")[-1]


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
