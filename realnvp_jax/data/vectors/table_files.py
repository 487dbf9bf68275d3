"""Files of tables: .csv (also .tsv and .txt), .parquet and .npz."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.vectors.binary_tables import read_npz, read_parquet
from realnvp_jax.data.vectors.columns import choose_columns, unknown_column
from realnvp_jax.data.vectors.csv_tables import TEXT_EXTENSIONS, place_of_row, read_csv, read_csv_column
from realnvp_jax.data.vectors.encoding import ColumnError, encode, find_categories
from realnvp_jax.registry import register
from realnvp_jax.text import shorten, split_names

EXTENSIONS = (*TEXT_EXTENSIONS, ".parquet", ".npz")
_EXTENSIONS = ".csv, .tsv, .txt, .parquet or .npz"


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Rows of real numbers.

    Attributes:
      columns: names of the columns, including one-hot columns.
      values: the rows that were not dropped.
      rows: the numbers of these rows in the file, counted from 0.
      num_rows: number of all rows of the file.
    """

    columns: tuple[str, ...]
    values: Float64[np.ndarray, "n D"]
    rows: np.ndarray
    num_rows: int


@dataclasses.dataclass(frozen=True)
class TableExamples(Examples):
    """Rows of a table.

    Attributes:
      unused: names of the columns of the file that were left out.
      num_dropped: number of rows of the file that were dropped because a value is missing.
    """

    unused: tuple[str, ...] = ()
    num_dropped: int = 0


@register("dataset", "table")
@dataclasses.dataclass(frozen=True)
class TableFile(DataSet):
    """The rows of a file, in a random order.

    Attributes:
      path: the file; see `read_frame`.
      seed: seed of the order of the rows.
      columns: names of the columns to read besides those of the context, a tuple or separated by commas; empty for all.
      drop: names of the columns to leave out.
      context: names of the columns that the density is conditioned on.
      categories: the one-hot columns of the categorical columns among them; see `find_categories`.
      missing: what to do about rows with missing values, refuse or drop.
    """

    path: str = ""
    seed: int = 0
    columns: str | tuple[str, ...] = ""
    drop: str | tuple[str, ...] = ""
    context: str | tuple[str, ...] = ""
    categories: tuple[str, ...] = ()
    missing: str = "refuse"
    is_of_images = False

    def load(self, split: str) -> Examples:
        """All the rows, as float64."""
        frame, unused = self._chosen()
        context = split_names(self.context)
        table = to_numbers(frame, Path(self.path).expanduser(), context, self.categories, self.missing)
        order = np.random.default_rng(self.seed).permutation(len(table.values))
        num_dropped = table.num_rows - len(table.values)
        return TableExamples(table.values[order], columns=table.columns, unused=unused, num_dropped=num_dropped)

    def find_categories(self) -> tuple[str, ...]:
        """The one-hot columns of the categorical columns of the context; see `encoding.find_categories`."""
        frame, _ = self._chosen()
        wanted = [name for name in split_names(self.context) if name in frame.columns]
        return find_categories(frame[wanted], Path(self.path).expanduser())

    def _chosen(self) -> tuple[Any, tuple[str, ...]]:
        """The columns to read, as a pandas DataFrame, and the names of the others."""
        if not self.path:
            raise ValueError(f"expected a {_EXTENSIONS} file in dataset.path for dataset.name='table'; got none")
        frame = read_frame(self.path)
        chosen = choose_columns(
            list(frame.columns),
            split_names(self.columns),
            split_names(self.drop),
            split_names(self.context),
            shorten(Path(self.path).name),
        )
        unused = sorted(set(range(len(frame.columns))) - set(chosen))
        return frame.iloc[:, chosen], tuple(frame.columns[i] for i in unused)


def to_numbers(
    frame: Any, path: Path, context: Sequence[str] = (), categories: Sequence[str] = (), missing: str = "refuse"
) -> Table:
    """The columns of a table as numbers; see `encode`.

    Args:
      frame: a pandas DataFrame with distinct column names.
      path: its file, for messages.
      context: names of the columns that the density is conditioned on.
      categories: the one-hot columns of the categorical columns among them.
      missing: what to do about rows with missing values, refuse or drop.

    Raises:
      ValueError: as in `encode`; there are no rows; or a value is missing, infinite, or too large for float32.
    """
    file = shorten(path.name)
    if missing not in ("refuse", "drop"):
        raise ValueError(f"expected dataset.missing to be 'refuse' or 'drop'; got {shorten(missing)}")
    if not len(frame.columns):
        raise ValueError(f"expected columns of numbers in {file}; got none")
    if len(frame) == 0:
        raise ValueError(f"expected rows of numbers in {file}; got none")
    columns, values, is_missing = encode(frame, path, context, categories)
    rows = np.flatnonzero(~is_missing.any(axis=1))
    if len(rows) < len(values) and missing == "refuse":
        row, column = np.argwhere(is_missing)[0]
        worst = int(is_missing.sum(axis=0).argmax())
        raise ColumnError(
            f"expected a value in every cell of {file}; got none in {len(values) - len(rows):,} of {len(values):,} "
            f"rows, the first in {place_of_row(path, row)}, column {shorten(frame.columns[column], 40)}",
            "drop these rows with --config.dataset.missing=drop, or columns with --config.dataset.drop; "
            f"{shorten(frame.columns[worst], 40)} lacks the most values",
        )
    if len(rows) == 0:
        raise ColumnError(
            f"expected rows without missing values in {file}; got none of {len(values):,}",
            "leave the columns that lack values out with --config.dataset.drop",
        )
    values = values[rows] if len(rows) < len(values) else values
    too_large = ~(np.abs(values) <= np.finfo(np.float32).max)
    if too_large.any():
        row, column = np.argwhere(too_large)[0]
        raise ValueError(
            f"expected numbers that fit into float32, up to 3.4e38, in {file}; got {values[row, column]:g} in "
            f"{place_of_row(path, int(rows[row]))} of column {shorten(columns[column])}: scale it, take its logarithm, "
            "or drop the row"
        )
    return Table(columns, values, rows, len(frame))


def read_frame(path: str | Path) -> Any:
    """The columns of a .csv, .tsv, .txt, .parquet or .npz file as a pandas DataFrame, with any types.

    A file of text needs a header, and any of its endings may go with any separator (see `find_dialect`). An .npz file
    has one array [n, D], whose columns may be named by an array `columns` of
    strings; or several arrays [n], whose keys name the columns and `columns` may order them; or one structured array
    [n], whose fields are the columns. Columns without names are called by their numbers (see `numbered`).

    Raises:
      ValueError: the file does not exist, is malformed, or is larger than the limits in `data.limits`.
    """
    path = Path(path).expanduser()
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {shorten(path.name)}")
    if not path.is_file():
        raise ValueError(f"expected a table in a {_EXTENSIONS} file; got {shorten(path, 250)}, where there is no file")
    frame = reader(path)
    try:
        frame.columns = [str(column).strip() for column in frame.columns]
    except UnicodeError:
        raise ValueError(f"expected names of columns in Unicode in {shorten(path.name)}; got other bytes") from None
    return frame


def read_column(path: str | Path, name: str) -> list[str]:
    """One column of a table, of any type, as text; for a file of text, exactly as it is written.

    Raises:
      ValueError: as in `read_frame`, or there is no such column.
    """
    path = Path(path).expanduser()
    frame = read_frame(path)
    names = list(frame.columns)
    if name not in names:
        raise unknown_column(name, names, "--id", shorten(path.name))
    place = names.index(name)
    return (
        read_csv_column(path, place) if path.suffix.lower() in TEXT_EXTENSIONS else list(map(str, frame.iloc[:, place]))
    )


_READERS: dict[str, Callable[[Path], Any]] = {
    **dict.fromkeys(TEXT_EXTENSIONS, read_csv),
    ".parquet": read_parquet,
    ".npz": read_npz,
}
