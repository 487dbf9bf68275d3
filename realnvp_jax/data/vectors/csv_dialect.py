"""How a CSV file is written: what separates its columns, and whether its numbers have decimal commas.

Both are decided from the header and the first 100 rows:

- The separator is the comma, semicolon, tab or pipe that splits the header into two or more cells and each of the rows
  into equally many. If several do, the file is ambiguous. If none does, the one that splits the header into the most
  cells is taken, or else a comma, and reading the file then shows what is wrong.
- If the comma is not the separator and there are numbers such as 12,5, it is a decimal comma. The file must not also
  contain numbers such as 12.5, and not all numbers may be like 1,234, where the comma could group thousands.
"""

import csv
import dataclasses
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realnvp_jax.data.limits import MOST_LINE
from realnvp_jax.text import shorten

_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_NUM_ROWS = 100
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


@dataclasses.dataclass(frozen=True)
class CsvDialect:
    """How a CSV file is written.

    Attributes:
      separator: the character between cells.
      decimal: the character in front of decimals.
    """

    separator: str = ","
    decimal: str = "."

    def lines(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        """(line number, cells) of each row that is not blank; lines count from 1, and a row has its last line's number.

        Raises:
          csv.Error: the file is not a CSV file.
          UnicodeDecodeError: the file is not UTF-8 text.
        """
        reader = csv.reader(_lines(path), delimiter=self.separator)
        for cells in reader:
            if cells and not (len(cells) == 1 and cells[0].isspace()):  # "" is a missing value, not a blank line
                yield reader.line_num, [cell.strip() for cell in cells]


def find_dialect(path: Path) -> CsvDialect:
    """How a CSV file is written.

    Raises:
      csv.Error: the file is not a CSV file.
      UnicodeDecodeError: the file is not UTF-8 text.
      ValueError: the file is ambiguous.
    """
    header = next((line for line in _lines(path) if line.strip()), "")
    widths: dict[str, int] = {}
    rows: dict[str, list[list[str]]] = {}
    for separator in _NAMES:
        if separator in header:
            lines = (cells for _, cells in CsvDialect(separator).lines(path))
            first, *rows[separator] = itertools.islice(lines, 1 + _NUM_ROWS)
            widths[separator] = len(first)
    fitting = [s for s, width in widths.items() if width > 1 and all(len(cells) == width for cells in rows[s])]
    if len(fitting) > 1:
        raise ValueError(
            f"expected one separator in {shorten(path.name)}; got {' and '.join(_NAMES[s] for s in fitting)}, each of "
            "which splits the header and the first rows into equally many cells: put names and texts in double quotes"
        )
    separator = fitting[0] if fitting else max(widths, key=lambda s: widths[s], default=",")
    return CsvDialect(separator, _decimal(separator, rows.get(separator, []), path))


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file of text, with their ends."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, line in enumerate(iter(lambda: file.readline(MOST_LINE), ""), 1):
            if len(line) == MOST_LINE:
                raise csv.Error(f"line {number} of more than {MOST_LINE:,} characters")
            yield line


def with_decimal_points(series: Any, column: str, path: Path) -> Any:
    """Replace decimal commas by points in a pandas Series of texts, if most of them are numbers with decimal commas.

    Raises:
      ValueError: there are decimal points as well.
    """
    import pandas as pd

    texts: Any = series.dropna().astype(str)
    commas = texts.str.fullmatch(_DECIMAL_COMMA.pattern)
    points = texts[texts.str.fullmatch(_DECIMAL_POINT.pattern)]
    numbers: Any = pd.to_numeric(texts, errors="coerce")
    has_points_only = len(points) > 0 and numbers.notna().all()
    if len(texts) == 0 or (commas.mean() < 0.5 and not has_points_only):
        return series
    if len(points):
        raise ValueError(
            f"expected decimal commas in column {shorten(column)} of {shorten(path.name)}, as in its first rows; "
            f"got {shorten(points.iloc[0])}: write all numbers in the same way"
        )
    texts[commas] = texts[commas].str.replace(",", ".")
    return texts.reindex(series.index)


def _decimal(separator: str, rows: list[list[str]], path: Path) -> str:
    if separator == ",":
        return "."
    cells = [cell for row in rows for cell in row]
    commas = [cell for cell in cells if _DECIMAL_COMMA.fullmatch(cell)]
    if not commas:
        return "."
    point = next((cell for cell in cells if _DECIMAL_POINT.fullmatch(cell)), None)
    if point is not None or all(_THOUSANDS.fullmatch(cell) for cell in commas):
        other = f" beside {shorten(point)}" if point is not None else ", which may be decimals or thousands"
        raise ValueError(
            f"expected either decimal commas or decimal points in {shorten(path.name)}; "
            f"got {shorten(commas[0])}{other}: write all numbers with a decimal point, without grouping thousands"
        )
    return ","
