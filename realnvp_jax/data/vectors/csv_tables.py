"""CSV files of numbers.

pandas reads them fast; what it would misread or silently mend is found by a second, slower pass with line numbers.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.text import shorten


def read_csv(path: Path) -> tuple[list[str], np.ndarray]:
    """The names of the columns and their values, float64 [n, D]; empty cells are NaN.

    Raises:
      ValueError: the file is empty, has no header or no rows, is ragged, or has a cell that is not a number.
    """
    import pandas as pd

    file = shorten(path.name)
    try:
        header, first = itertools.islice(itertools.chain(_lines(path), [(0, []), (0, [])]), 2)
        columns = _columns(header[1], file)
        frame = None
        if len(first[1]) == len(columns):  # pandas would take the first cells of longer lines for row labels
            try:
                frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
            except pd.errors.ParserError as error:
                _check_lengths(path, len(columns))
                raise ValueError(f"expected a CSV table in {file}; got {shorten(error, 150)}") from None
        if frame is None or frame.iloc[:, -1].hasnans:  # pandas fills short lines up
            _check_lengths(path, len(columns))
    except UnicodeDecodeError:
        raise ValueError(f"expected UTF-8 text in {file}; got other bytes: save it as UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"expected a CSV table in {file}; got {shorten(error, 150)}") from None
    if frame is None:
        raise ValueError(f"expected rows of numbers below the header of {file}; got none")
    values = np.empty(frame.shape)
    for i, column in enumerate(columns):
        series = frame.iloc[:, i]
        numbers: Any = pd.to_numeric(series, errors="coerce")
        values[:, i] = numbers
        strings = (series.notna() & numbers.isna()).to_numpy()
        if strings.any():
            row = int(np.argmax(strings))
            line = next(itertools.islice(_lines(path), row + 1, None))[0]
            raise ValueError(
                f"expected numbers in column {shorten(column)} of {file}; "
                f"got {shorten(series.iloc[row])} in line {line}: drop the column, or encode it"
            )
    return columns, values


def write_csv(path: Path, parts: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file that `read_csv` reads, part by part; the file appears when it is complete.

    Args:
      path: the file.
      parts: rows, as {name of a column: its values}, each part with the same columns.
    """
    import pandas as pd

    temporary = path.with_name(path.name + ".partial")
    try:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            for i, part in enumerate(parts):
                pd.DataFrame(dict(part)).to_csv(file, header=i == 0, index=False, float_format="%.9g", na_rep="nan")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line number counted from 1, cells) of each line that is not blank; the number is that of a row's last line."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        for cells in reader:
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield reader.line_num, [cell.strip() for cell in cells]


def _columns(header: list[str], file: str) -> list[str]:
    if not header:
        raise ValueError(f"expected a header and rows of numbers in {file}; got an empty file")
    filled = [cell for cell in header if cell]
    if filled and all(map(_is_number, filled)):
        raise ValueError(
            f"expected a header in {file}; got only numbers in its first line, {shorten(','.join(header))}: "
            "put the names of the columns above it"
        )
    if len(header) == 1 and any(separator in header[0] for separator in ";\t|"):
        raise ValueError(f"expected columns that are separated by commas in {file}; got {shorten(header[0])}")
    return header


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_lengths(path: Path, num_columns: int) -> None:
    for line, cells in _lines(path):
        if len(cells) != num_columns:
            raise ValueError(
                f"expected {num_columns} cells in every line of {shorten(path.name)}, as in its header; "
                f"got {len(cells)} in line {line}"
            )
