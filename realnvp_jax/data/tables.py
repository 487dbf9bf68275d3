"""Tables of real numbers: files of columns, and data sets by name.

Every split is in memory as float32 [n, D]. A table is refused where its density would be meaningless or singular:
missing or infinite values, constant columns, fewer than two columns.
"""

import dataclasses
import difflib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.data.csv_tables import read_csv
from realnvp_jax.data.images import parse_split, position
from realnvp_jax.data.mixture import GaussianMixture, sample_synthetic_table
from realnvp_jax.data.quote import quote
from realnvp_jax.data.uci import UCI, load_uci

_IN_PARTS = ("gaussian_mixture", *UCI)
_EXTENSIONS = ".csv, .parquet or .npz"

EXTENSIONS = (".csv", ".parquet", ".npz")

TABLES = ("table", "breast_cancer", "wine", "synthetic_table", *_IN_PARTS)


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of real numbers and the names of their columns."""

    columns: tuple[str, ...]
    values: Float32[np.ndarray, "n D"]


def load_table_splits(
    name: str, path: str, data_dir: str, split_names: dict[str, str], seed: int
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Load the splits of a table: the names of its columns, and float32 [n, D] for each key of `split_names`.

    `table` (the file at `path`), `breast_cancer`, `wine` (scikit-learn's, their features alone) and `synthetic_table`
    (200,000 rows) have the one split "all", to be sliced; the rows come in a random order that `seed` fixes.
    `gaussian_mixture` (50,000, 20,000 and 20,000 points) and the tables of the MAF paper (`realnvp_jax.data.uci`)
    have the splits "train", "validation" and "test".

    Args:
      name: one of the above.
      path: the file of `table`.
      data_dir: where the archive of the MAF paper's tables was unpacked.
      split_names: "train", "validation" and "test" to names such as "all[:80%]" or "train".
      seed: fixes the order of the rows, or what is drawn.

    Raises:
      ValueError: the data set, a split or a file is unknown, a split is empty, or the table is refused.
    """
    if name not in TABLES:
        near = difflib.get_close_matches(name, TABLES, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected a table, one of {', '.join(TABLES)}; got dataset.name={quote(name)}{hint}")
    bounds = {role: parse_split(text) for role, text in split_names.items()}
    expected = ("train", "validation", "test") if name in _IN_PARTS else ("all",)
    for role, (source, _, _) in bounds.items():
        if source not in expected:
            raise ValueError(
                f"expected a part of {' or '.join(expected)} of {name!r}, such as {expected[0]}[:80%]; "
                f"got dataset.{role}={quote(split_names[role])}"
            )
    if name in _IN_PARTS:
        columns, sources = load_uci(name, data_dir) if name in UCI else _gaussian_mixture(seed)
    else:
        table = _whole(name, path, seed)
        columns, sources = table.columns, {"all": table.values}
    splits = {}
    for role, (source, start, stop) in bounds.items():
        whole = sources[source]
        splits[role] = whole[position(start, len(whole)) : position(stop, len(whole))]
        if len(splits[role]) == 0:
            raise ValueError(f"expected rows in dataset.{role}={split_names[role]!r}; got none of {len(whole)}")
        check_finite(splits[role], columns)
    if "train" in splits:
        check_not_constant(splits["train"], columns)
    return columns, splits


def _whole(name: str, path: str, seed: int) -> Table:
    if name == "synthetic_table":
        columns, values = sample_synthetic_table(200_000, seed)
        return Table(tuple(columns), values)
    if name == "table":
        if not path:
            raise ValueError(f"expected a {_EXTENSIONS} file in dataset.path for dataset.name='table'; got none")
        table = read_table(path)
    else:
        table = _from_sklearn(name)
    return Table(table.columns, table.values[np.random.default_rng(seed).permutation(len(table.values))])


def _from_sklearn(name: str) -> Table:
    import sklearn.datasets

    data: Any = getattr(sklearn.datasets, f"load_{name}")()
    return Table(tuple(map(str, data.feature_names)), data.data.astype(np.float32))


def _gaussian_mixture(seed: int) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    mixture = GaussianMixture()
    sizes = {"train": 50_000, "validation": 20_000, "test": 20_000}
    parts = {part: mixture.sample(np.random.default_rng([seed, i]), num) for i, (part, num) in enumerate(sizes.items())}
    return numbered(mixture.num_dims), parts


def read_table(path: str | Path) -> Table:
    """Read a table to train on with `read_rows`: two or more rows of two or more columns that vary.

    Raises:
      ValueError: as in `read_rows`, or the table is refused.
    """
    table, file = read_rows(path), quote(Path(path).name)
    if len(table.columns) < 2:
        raise ValueError(
            f"expected at least two columns in {file}; got {len(table.columns)}, {quote(', '.join(table.columns))}: "
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
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {quote(path.name)}")
    if not path.is_file():
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {quote(path, 250)}, where there is no file")
    columns, values = reader(path)
    columns = [column.strip() for column in columns]
    file = quote(path.name)
    if not columns:
        raise ValueError(f"expected columns of numbers in {file}; got none")
    for i, column in enumerate(columns):
        if not column or column in columns[:i]:
            raise ValueError(
                f"expected a name of its own for every column of {file}; got {quote(column)} at column {i}: "
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
            f"{row} (counted from 0) of column {quote(columns[column])}: scale the column, or take its logarithm"
        )
    return Table(tuple(columns), values.astype(np.float32))


def numbered(num: int) -> tuple[str, ...]:
    """What the columns of a table without names are called."""
    return tuple(f"column {i}" for i in range(num))


def match_columns(own: Sequence[str], given: Sequence[str]) -> list[int] | None:
    """Where a run's own columns are in a table, or None if they are not all there.

    They are found by name, in any order. Where one of the two has numbers for names (see `numbered`) and both are as
    many, they are found by position.
    """
    if set(own) <= set(given):
        return [given.index(column) for column in own]
    if len(own) == len(given) and numbered(len(own)) in (tuple(own), tuple(given)):
        return list(range(len(own)))
    return None


def _read_parquet(path: Path) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    file = quote(path.name)
    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise ValueError(f"expected pyarrow, which reads {file}; got none: pip install pyarrow") from None
    except (ValueError, OSError) as error:
        raise ValueError(f"expected a Parquet table in {file}; got {quote(error, 150)}") from None
    columns = list(map(str, frame.columns))
    values = np.empty(frame.shape)
    for i, column in enumerate(columns):
        series = frame.iloc[:, i]
        if not pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_complex_dtype(series.dtype):
            first = next(iter(series), None)
            raise ValueError(
                f"expected numbers in column {quote(column)} of {file}; got {series.dtype}, {quote(first)} in row 0: "
                "drop the column, or encode it"
            )
        values[:, i] = series.to_numpy(np.float64, na_value=np.nan)
    return columns, values


def _read_npz(path: Path) -> tuple[list[str], np.ndarray]:
    file = quote(path.name)
    try:
        with path.open("rb") as opened, np.lib.npyio.NpzFile(opened, allow_pickle=False) as loaded:
            arrays = {key: np.asarray(loaded[key]) for key in loaded.files}  # bytes, if no array
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"expected an .npz file of numbers in {file}; got {quote(error, 150)}") from None
    names = None
    if "columns" in arrays and arrays["columns"].dtype.kind == "U":
        names = [str(name) for name in arrays.pop("columns").ravel()]
    for key, array in arrays.items():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"expected numbers in array {quote(key)} of {file}; got {array.dtype}: leave it out")
    shapes = [array.shape for array in arrays.values()]
    if len(shapes) == 1 and len(shapes[0]) == 2:
        values = next(iter(arrays.values())).astype(np.float64)
        names = list(numbered(values.shape[1])) if names is None else names
        if len(names) != values.shape[1]:
            raise ValueError(f"expected {values.shape[1]} names in 'columns' of {file}; got {len(names)}")
        return names, values
    if not shapes or len(shapes[0]) != 1 or len(set(shapes)) > 1:
        raise ValueError(
            f"expected in {file} one array [n, D], or several [n] of one length; got shapes {quote(shapes, 100)}"
        )
    names = list(arrays) if names is None else names
    if sorted(names) != sorted(arrays):
        raise ValueError(
            f"expected the names of the arrays in 'columns' of {file}, {quote(list(arrays), 100)}; "
            f"got {quote(names, 100)}"
        )
    return names, np.stack([arrays[name].astype(np.float64) for name in names], axis=1)


_READERS: dict[str, Callable[[Path], tuple[list[str], np.ndarray]]] = {
    ".csv": read_csv,
    ".parquet": _read_parquet,
    ".npz": _read_npz,
}
