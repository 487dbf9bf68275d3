"""How much of what a file claims to hold is read: limits that keep a damaged or hostile file from filling the memory.

Each limit is far above what a data set for these models needs. A picture above a limit is named and left out; any
other file is refused.
"""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from realnvp_jax.text import shorten

MOST_PICTURE_BYTES = 2**28  # of an encoded picture, 256 MiB
MOST_PIXELS = 2**26  # of a picture, 8192x8192
MOST_IMAGES = 10**8  # of an array
MOST_FILE_BYTES = 2**32  # of a table other than text, and of the arrays of an .npz file, 4 GiB
MOST_TEXT_BYTES = 2**30  # of a table of text, 1 GiB, whose cells take a multiple of it in memory
MOST_LINE = 2**24  # characters in a line of text
MOST_VALUES = 2**28  # of a table: 2 GiB as float64
MOST_TEXTS = 2**25  # cells of text in a table other than text
MOST_COLUMNS = 100_000  # of a table


class Budget:
    """An amount that threads share: whoever wants more than is left waits.

    Args:
      total: the amount.
    """

    def __init__(self, total: int):
        self._total = total
        self._used = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Hold a part of the budget, or all of it if `amount` is larger."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._used + amount <= self._total)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


ENCODED = Budget(MOST_PICTURE_BYTES)  # bytes of encoded pictures that all threads together hold
DECODED = Budget(MOST_PIXELS)  # pixels of pictures that all threads together decode and frame


def check_file_size(path: Path, most: int) -> None:
    """Raise ValueError for a file of more than `most` bytes."""
    size = path.stat().st_size
    if size > most:
        raise ValueError(
            f"expected a file of at most {most / 2**30:g} GiB in {shorten(path, 150)}; got {size / 2**30:,.1f} GiB: "
            "split it, or leave rows out"
        )


def check_table_size(num_rows: int, num_columns: int, file: str) -> None:
    """Raise ValueError for a table with too many columns, or too many values.

    Args:
      num_rows: number of rows.
      num_columns: number of columns.
      file: its file, for the message.
    """
    if num_columns > MOST_COLUMNS or num_rows * num_columns > MOST_VALUES:
        raise ValueError(
            f"expected a table of at most {MOST_COLUMNS:,} columns and {MOST_VALUES:,} values in {file}; "
            f"got {num_rows:,} rows and {num_columns:,} columns: leave some out of the file"
        )
