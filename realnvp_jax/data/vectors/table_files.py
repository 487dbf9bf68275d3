"""Files of tables: .csv, .parquet and .npz, all of whose columns are numbers."""

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.vectors.columns import numbered
from realnvp_jax.data.vectors.csv_tables import read_csv
from realnvp_jax.registry import register
from realnvp_jax.text import shorten

_EXTENSIONS = ".csv, .parquet or .npz"

EXTENSIONS = (".csv", ".parquet", ".npz")


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Rows of real numbers and the names of their columns."""

    columns: tuple[str, ...]
    values: Float32[np.ndarray, "n D"]


@register("dataset", "table")
@dataclasses.dataclass(frozen=True)
class TableFile(DataSet):
    """The rows of a file, in a random order.

    Attributes:
      path: the file; see `read_rows`.
      seed: of the order of the rows.
    """

    path: str = ""
    seed: int = 0
    is_of_images = False

    def load(self, split: str) -> Examples:
        """All the rows."""
        if not self.path:
            raise ValueError(f"expected a {_EXTENSIONS} file in dataset.path for dataset.name='table'; got none")
        table = read_table(self.path)
        order = np.random.default_rng(self.seed).permutation(len(table.values))
        return Examples(table.values[order], columns=table.columns)


def read_table(path: str | Path) -> Table:
    """Read a table to train on with `read_rows`: two or more rows of two or more columns that vary.

    Raises:
      ValueError: as in `read_rows`, or the table is refused.
    """
    table, file = read_rows(path), shorten(Path(path).name)
    if len(table.columns) < 2:
        raise ValueError(
            f"expected at least two columns in {file}; got {len(table.columns)}, {shorten(', '.join(table.columns))}: "
            "one column has no two halves"
        )
    if len(table.values) < 2:
        raise ValueError(f"expected at least two rows of numbers in {file}; got {len(table.values)}")
    check_not_constant(table.values, table.columns)
    return table


def read_rows(path: str | Path) -> Table:
    """Read a .csv, .parquet or .npz file, all of whose columns are numbers; integers and booleans become floats.

    A CSV file has a header and commas. An .npz file has one array [n, D], or several [n] whose keys are the columns'
    names; an array `columns` of strings names the columns of the former, or puts those of the latter in order. Columns
    without names are called by their numbers (see `numbered`).

    Raises:
      ValueError: there is no such file, it is malformed or has no rows, or a value is missing or too large.
    """
    path = Path(path).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {shorten(path.name)}")
    if not path.is_file():
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {shorten(path, 250)}, where there is no file")
    columns, values = reader(path)
    columns = [column.strip() for column in columns]
    file = shorten(path.name)
    if not columns:
        raise ValueError(f"expected columns of numbers in {file}; got none")
    for i, column in enumerate(columns):
        if not column or column in columns[:i]:
            raise ValueError(
                f"expected a name of its own for every column of {file}; got {shorten(column)} at column {i}: "
                "name it, or leave it out if it is a row number"
            )
    if len(values) == 0:
        raise ValueError(f"expected rows of numbers in {file}; got none")
    check_finite(values, columns)
    too_large = np.abs(values) > np.finfo(np.float32).max
    if too_large.any():
        row, column = np.argwhere(too_large)[0]
        raise ValueError(
            f"expected numbers that fit into float32, up to 3.4e38, in {file}; got {values[row, column]:g} in row "
            f"{row} (counted from 0) of column {shorten(columns[column])}: scale the column, or take its logarithm"
        )
    return Table(tuple(columns), values.astype(np.float32))


def _read_parquet(path: Path) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    file = shorten(path.name)
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise ValueError(f"expected pyarrow, which reads {file}; got none: pip install pyarrow") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"expected a Parquet table in {file}; got {shorten(error, 150)}") from None
    columns = list(map(str, frame.columns))
    values = np.empty(frame.shape)
    for i, column in enumerate(columns):
        series = frame.iloc[:, i]
        if not pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_complex_dtype(series.dtype):
            first = next(iter(series), None)
            raise ValueError(
                f"expected numbers in column {shorten(column)} of {file}; "
                f"got {series.dtype}, {shorten(first)} in row 0: drop the column, or encode it"
            )
        values[:, i] = series.to_numpy(np.float64, na_value=np.nan)
    return columns, values


def _read_npz(path: Path) -> tuple[list[str], np.ndarray]:
    file = shorten(path.name)
    try:
        with path.open("rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as loaded:
            arrays = {key: np.asarray(loaded[key]) for key in loaded.files}  # bytes, if no array
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected an .npz file of numbers in {file}; got {shorten(error, 150)}") from None
    names = None
    if "columns" in arrays and arrays["columns"].dtype.kind == "U":
        names = [str(name) for name in arrays.pop("columns").ravel()]
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"expected numbers in array {shorten(key)} of {file}; got {array.dtype}: leave it out")
    shapes = [array.shape for array in arrays.values()]
    if len(shapes) == 1 and len(shapes[0]) == 2:
        values = next(iter(arrays.values())).astype(np.float64)
        names = list(numbered(values.shape[1])) if names is None else names
        if len(names) != values.shape[1]:
            raise ValueError(f"expected {values.shape[1]} names in 'columns' of {file}; got {len(names)}")
        return names, values
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
    return names, np.stack([arrays[name].astype(np.float64) for name in names], axis=1)


_READERS: dict[str, Callable[[Path], tuple[list[str], np.ndarray]]] = {
    ".csv": read_csv,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}
