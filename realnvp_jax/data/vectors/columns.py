"""Names of table columns: choosing columns, and matching the columns of two tables."""

import difflib
from collections.abc import Collection, Sequence

from realnvp_jax.text import shorten


def numbered(num: int) -> tuple[str, ...]:
    """Names for the columns of a table without names."""
    return tuple(f"column {i}" for i in range(num))


def match_columns(own: Sequence[str], given: Sequence[str]) -> list[int] | None:
    """The positions of a run's own columns in a table, or None if some are missing.

    Columns are matched by name, in any order. If the names on either side are only numbers (see `numbered`) and both
    sides have the same number of columns, columns are matched by position.
    """
    place = {column: i for i, column in enumerate(given)}
    if all(column in place for column in own):
        return [place[column] for column in own]
    if len(own) == len(given) and numbered(len(own)) in (tuple(own), tuple(given)):
        return list(range(len(own)))
    return None


def choose_columns(
    given: Sequence[str], columns: Collection[str], drop: Collection[str], context: Collection[str], title: str
) -> list[int]:
    """The positions of the columns of a table that `dataset.columns` and `dataset.drop` keep.

    Args:
      given: names of all its columns.
      columns: names of the columns to keep besides those of the context; empty for all.
      drop: names of the columns to leave out.
      context: names of the columns of the context.
      title: what the table is called in messages.

    Raises:
      ValueError: a name is unknown, or a column that is kept has no name or the same name as another one.
    """
    known = set(given)
    for key, names in (("columns", columns), ("drop", drop), ("context", context)):
        for name in names:
            if name not in known and not (key == "context" and "=" in name and name.rpartition("=")[0] in known):
                raise unknown_column(name, given, f"dataset.{key}", title)
            if key == "context" and name in drop:
                raise ValueError(
                    f"expected a column either in dataset.context or in dataset.drop; got {shorten(name)} in both"
                )
    wanted = {*(columns or given), *context} - set(drop)
    chosen = [i for i, name in enumerate(given) if name in wanted]
    seen: set[str] = set()
    for i in chosen:
        if not given[i] or given[i] in seen:
            raise ValueError(
                f"expected distinct column names in {title}; got {shorten(given[i])} as the name of column {i}: "
                "rename it, or name the columns to read with --config.dataset.columns"
            )
        seen.add(given[i])
    return chosen


def unknown_column(name: str, given: Sequence[str], key: str, title: str) -> ValueError:
    """The error to raise if a key names a column that the table does not have; it suggests the nearest name."""
    named = {column.casefold(): column for column in given if column}
    near = difflib.get_close_matches(name.casefold(), named, n=1, cutoff=0)
    hint = f": did you mean {shorten(named[near[0]])}?" if near else ""
    return ValueError(
        f"expected {key} to name columns of {title}, of {shorten(', '.join(given), 100)}; got {shorten(name)}{hint}"
    )
