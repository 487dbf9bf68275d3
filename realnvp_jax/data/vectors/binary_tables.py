"""Tables in files of numbers: .parquet and .npz.

What a file claims to hold is compared with the limits in `data.limits` before it is read.
"""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.array_files import read_arrays, read_headers
from realnvp_jax.data.limits import MOST_FILE_BYTES, MOST_TEXTS, check_file_size, check_table_size
from realnvp_jax.data.vectors.columns import numbered
from realnvp_jax.text import describe_error, shorten


def read_parquet(path: Path) -> Any:
    """The columns of a Parquet file as a pandas DataFrame; a nested column becomes text that says its type.

    Raises:
      ValueError: the file is malformed, or larger than the limits in `data.limits`.
    """
    file = shorten(path.name)
    check_file_size(path, MOST_FILE_BYTES)
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ValueError(f"expected pyarrow, which reads {file}; got none: pip install pyarrow") from None
    with _reading("a Parquet table", file):
        with parquet.ParquetFile(path) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
        size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    nested = {field.name: str(field.type) for field in schema if pa.types.is_nested(field.type)}
    objects = [field.name for field in schema if field.name not in nested and not pa.types.is_primitive(field.type)]
    _check_size(metadata.num_rows, len(schema), len(objects), size, file)
    texts = [name for name in objects if _is_text(schema.field(name).type)]
    # Texts are read as indices into a dictionary: a text that a file holds once may stand in all of its rows.
    with _reading("a Parquet table", file), parquet.ParquetFile(path, read_dictionary=texts) as opened:
        columns = [name for name in schema.names if name not in nested] if nested else None
        frame = opened.read(columns, use_pandas_metadata=True).to_pandas()
        for field in schema:
            if field.name in nested:
                frame[field.name] = nested[field.name]
            elif field.name in texts:
                frame[field.name] = frame[field.name].astype(object)
        return frame.reset_index(drop=all(name is None for name in frame.index.names))


def _is_text(arrow_type: Any) -> bool:
    return str(arrow_type) in ("string", "large_string", "binary", "large_binary")


def _check_size(num_rows: int, num_columns: int, num_texts: int, num_bytes: int, file: str) -> None:
    """Raise ValueError for a table that takes too much memory; of its columns, `num_texts` have text."""
    check_table_size(num_rows, num_columns, file)
    if num_rows * num_texts > MOST_TEXTS or num_bytes > MOST_FILE_BYTES:
        raise ValueError(
            f"expected a table of at most {MOST_FILE_BYTES / 2**30:g} GiB and {MOST_TEXTS:,} cells of text in {file}; "
            f"got {num_bytes / 2**30:,.1f} GiB and {num_rows * num_texts:,}: leave some out of the file"
        )


@contextlib.contextmanager
def _reading(what: str, file: str) -> Iterator[None]:
    """Turn any error into a ValueError that names the file: a damaged file can fail anywhere inside a reader."""
    try:
        yield
    except Exception as error:
        problem = shorten(error, 150) if isinstance(error, (ValueError, zipfile.BadZipFile)) else describe_error(error)
        raise ValueError(f"expected {what} in {file}; got {problem}") from None


def read_npz(path: Path) -> Any:
    """The columns of an .npz file as a pandas DataFrame; see `table_files.read_frame`.

    Raises:
      ValueError: as in `read_parquet`, or the arrays are not columns.
    """
    import pandas as pd

    file = shorten(path.name)
    with _reading("an .npz file of columns", file):
        headers = read_headers(path)
    if "" in headers:
        raise ValueError(f"expected an .npz file of columns in {file}; got an .npy file: save it with np.savez")
    for shape, dtype in headers.values():
        num_columns = shape[1] if len(shape) == 2 else max(len(headers), len(dtype.names or ()))
        num_rows = (*shape, 1)[0]
        _check_size(num_rows, num_columns, num_columns if dtype.kind in "US" else 0, 0, file)
    with _reading("an .npz file of columns", file):
        arrays = read_arrays(path, list(headers))
    names = None
    if "columns" in arrays and arrays["columns"].dtype.kind == "U" and len(arrays) > 1:
        names = _native(arrays.pop("columns"), "columns", file).ravel().tolist()
    if len(arrays) == 1 and (array := next(iter(arrays.values()))).dtype.names and array.ndim == 1:
        arrays = {field: array[field] for field in array.dtype.names}
    arrays = {key: _native(array, key, file) for key, array in arrays.items()}
    shapes = [array.shape for array in arrays.values()]
    if len(shapes) == 1 and len(shapes[0]) == 2:
        values = next(iter(arrays.values()))
        names = list(numbered(values.shape[1])) if names is None else names
        if len(names) != values.shape[1]:
            raise ValueError(f"expected {values.shape[1]} names in 'columns' of {file}; got {len(names)}")
        return pd.DataFrame(values, columns=names)
    if not shapes or len(shapes[0]) != 1 or len(set(shapes)) > 1:
        raise ValueError(
            f"expected in {file} one array [n, D], or several [n] of one length; got shapes {shorten(shapes, 100)}"
        )
    names = list(arrays) if names is None else names
    if sorted(names) != sorted(arrays):
        raise ValueError(
            f"expected the names of the arrays in 'columns' of {file}, {shorten(list(arrays), 100)}; "
            f"got {shorten(names, 100)}"
        )
    return pd.DataFrame({name: arrays[name] for name in names})


def _native(array: np.ndarray, key: str, file: str) -> np.ndarray:
    """An array in native byte order, with floats as float64 (longer floats are rounded)."""
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    if array.dtype.kind in "biuM":
        return array.astype(array.dtype.newbyteorder("="))
    if array.dtype.kind in "US":
        with contextlib.suppress(UnicodeError):
            texts = array.astype(str)
            codes = np.frombuffer(texts.tobytes(), np.uint32)
            if ((codes <= 0x10FFFF) & (codes >> 11 != 0x1B)).all():  # no halves of surrogate pairs
                return texts.astype(object)
    raise ValueError(
        f"expected numbers or text in array {shorten(key)} of {file}; got {shorten(array.dtype)}: leave it out"
    )
