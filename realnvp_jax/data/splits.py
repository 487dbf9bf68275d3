"""Parts of splits, written as slices: train[:90%], test[-1000:]."""

import re
from collections.abc import Mapping

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.text import shorten

Bounds = tuple[str, str, str]


def parse_splits(dataset: DataSet, split_names: Mapping[str, str]) -> dict[str, Bounds]:
    """Apply `parse_split` to several splits.

    Args:
      dataset: the data set with these splits.
      split_names: role ("train", "validation" or "test") -> a split or part of one.

    Raises:
      ValueError: a text is malformed, or names a split that the data set does not have.
    """
    bounds = {role: parse_split(text) for role, text in split_names.items()}
    names = dataset.split_names
    for role, (name, _, _) in bounds.items():
        if names and name not in names:
            raise ValueError(
                f"expected a part of {' or '.join(names)} of {shorten(dataset.title, 100)}, such as {names[0]}[:80%]; "
                f"got dataset.{role}={shorten(split_names[role])}"
            )
    return bounds


def parse_split(text: str) -> Bounds:
    """Parse a split's name: train[:90%] is ("train", "", "90%"); absent bounds are "".

    Raises:
      ValueError: the text is not name, name[a:b] with integers or percentages.
    """
    match = re.fullmatch(r"([^\[\]:]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", text)
    if match is None:
        raise ValueError(f"expected a split such as train, train[:90%] or test[-1000:]; got {text!r}")
    return match[1], match[2] or "", match[3] or ""


def part_of(length: int, bounds: Bounds) -> slice:
    """The slice of `length` examples for bounds from `parse_split`; percentages are rounded."""
    start, stop = bounds[1:]
    return slice(_place(start, length) if start else 0, _place(stop, length) if stop else length)


def _place(bound: str, length: int) -> int:
    """A bound as a number of examples from the start; a percentage below 0 may round to 0 examples from the end."""
    digits = bound.strip("-%")
    num = round(int(digits) * length / 100) if bound.endswith("%") else int(digits)
    return max(length - num, 0) if bound.startswith("-") else num
