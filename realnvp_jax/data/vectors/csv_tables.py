"""CSV files, and others of text in columns.

pandas reads them fast. A second, slower pass with line numbers finds what pandas would misread or silently repair.
"""

import csv
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.limits import MOST_TEXT_BYTES, check_file_size, check_table_size
from realnvp_jax.data.vectors.csv_dialect import CsvDialect, find_dialect, with_decimal_points
from realnvp_jax.text import describe_error, shorten

TEXT_EXTENSIONS = (".csv", ".tsv", ".txt")


def read_csv(path: Path) -> Any:
    """The columns of a CSV file as a pandas DataFrame, each of numbers, booleans or text.

    Empty cells are missing, and also those that pandas takes for missing, such as NA, except in columns of text without
    any number.

    See `find_dialect` for the separators and decimals that are recognised. Column names may be empty or repeated.

    Raises:
      ValueError: the file is empty, has no header or no rows, is ragged, ambiguous, or not a CSV file in UTF-8.
    """
    import pandas as pd

    file = shorten(path.name)
    check_file_size(path, MOST_TEXT_BYTES)
    try:
        dialect = find_dialect(path)
        header, first = itertools.islice(itertools.chain(dialect.lines(path), [(0, []), (0, [])]), 2)
        columns = _check_header(header[1], file)
        check_table_size(1, len(columns), file)
        if not first[1]:
            raise ValueError(f"expected rows below the header of {file}; got none")
        frame, problem = None, f"{len(first[1])} cells in its first row"
        if len(first[1]) == len(columns):  # pandas would take the first cells of longer lines for row labels
            frame, problem = _read(path, dialect)
        if frame is None or len(frame.columns) != len(columns) or frame.iloc[:, -1].hasnans:
            _check_lengths(path, dialect, len(columns))  # pandas would pad short lines
    except UnicodeDecodeError:
        raise ValueError(f"expected UTF-8 text in {file}; got other bytes: save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"expected a CSV table in {file}; got {shorten(error, 150)}") from None
    if frame is None or len(frame.columns) != len(columns):
        raise ValueError(f"expected a CSV table in {file}; got {problem or 'rows that do not fit its header'}")
    if dialect.decimal == ",":  # a column with any other cell in it has remained text
        texts = [i for i, dtype in enumerate(frame.dtypes) if not pd.api.types.is_numeric_dtype(dtype)]
        for i in texts:
            frame.isetitem(i, with_decimal_points(frame.iloc[:, i], columns[i], path))
    _restore_texts(frame, path, dialect)
    frame.columns = columns
    return frame


def _restore_texts(frame: Any, path: Path, dialect: CsvDialect) -> None:
    """Put back the cells of text that pandas takes for missing, such as NA for Namibia; empty cells remain missing."""
    import pandas as pd

    texts = [
        i
        for i, (_, column) in enumerate(frame.items())
        if column.hasnans
        and pd.api.types.infer_dtype(column, skipna=True) == "string"
        and np.isnan(np.asarray(pd.to_numeric(column.dropna(), errors="coerce"), np.float64)).all()
    ]
    for i in texts:
        cells = pd.Series(read_csv_column(path, i), dtype=frame.dtypes.iloc[i])
        column = frame.iloc[:, i]
        frame.isetitem(i, column.where(column.notna() | (cells == ""), cells))


def _read(path: Path, dialect: CsvDialect) -> tuple[Any, str]:
    """(DataFrame, ""), or (None, what pandas complains of); a damaged file can fail anywhere inside pandas."""
    import pandas as pd

    options: dict[str, Any] = {"sep": dialect.separator, "decimal": dialect.decimal}
    try:
        return pd.read_csv(path, encoding="utf-8-sig", low_memory=False, **options), ""
    except UnicodeDecodeError:
        raise
    except Exception as error:
        return None, describe_error(error)


def read_csv_column(path: Path, place: int) -> list[str]:
    """The cells of the column at a position of a CSV file, exactly as they are written.

    Raises:
      ValueError: it is not a CSV file.
    """
    import pandas as pd

    try:
        series = pd.read_csv(
            path,
            encoding="utf-8-sig",
            sep=find_dialect(path).separator,
            usecols=[place],
            dtype=str,
            na_filter=False,
        ).iloc[:, 0]
    except Exception as error:  # as in `read_csv`
        raise ValueError(f"expected a CSV table in {shorten(path.name)}; got {describe_error(error)}") from None
    return [cell.strip() for cell in series]


def place_of_row(path: Path, row: int) -> str:
    """Where a row of a table, counted from 0, is in its file: its last line, counted from 1, or its number."""
    if path.suffix.lower() in TEXT_EXTENSIONS:
        return f"line {next(itertools.islice(find_dialect(path).lines(path), row + 1, None))[0]}"
    return f"row {row} (counted from 0)"


def write_csv(path: Path, parts: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file that `read_csv` reads, part by part; the file appears when it is complete.

    Missing numbers become nan, and missing texts empty cells. Names of files that are not UTF-8 are escaped.

    Args:
      path: the file.
      parts: rows, as {name of a column: its values}, each part with the same columns.
    """
    import pandas as pd

    temporary = path.with_name(path.name + ".partial")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            for i, part in enumerate(parts):
                frame = pd.DataFrame({name: _encodable(values) for name, values in part.items()})
                texts = frame.select_dtypes(exclude=["number", "bool"]).columns
                frame = frame.fillna(dict.fromkeys(texts, ""))
                frame.to_csv(file, header=i == 0, index=False, float_format="%.9g", na_rep="nan")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _encodable(values: Any) -> Any:
    """The values, with what UTF-8 cannot encode escaped if they are texts, as names of files can be."""
    if np.asarray(values).dtype.kind not in "OU":
        return values
    return [value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value for value in values]


def _check_header(header: list[str], file: str) -> list[str]:
    if not header:
        raise ValueError(f"expected a header and rows in {file}; got an empty file")
    filled = [cell for cell in header if cell]
    if filled and all(map(_is_number, filled)):
        raise ValueError(
            f"expected a header in {file}; got only numbers in its first line, {shorten(','.join(header))}: "
            "put the names of the columns above it"
        )
    return header


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _check_lengths(path: Path, dialect: CsvDialect, num_columns: int) -> None:
    for line, cells in dialect.lines(path):
        if len(cells) != num_columns:
            raise ValueError(
                f"expected {num_columns} cells in every line of {shorten(path.name)}, as in its header; "
                f"got {len(cells)} in line {line}"
            )
