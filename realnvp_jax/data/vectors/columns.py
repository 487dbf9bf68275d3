"""Names of the columns of tables."""

from collections.abc import Sequence


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
