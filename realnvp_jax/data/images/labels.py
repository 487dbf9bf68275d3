"""Labels of images: classes by name or number, and the one-hot vectors that a density is conditioned on."""

import difflib
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Integer

from realnvp_jax.text import shorten

Classes = Sequence[str]


def one_hot(numbers: Integer[np.ndarray, " n"], num_classes: int) -> Float32[np.ndarray, "n num_classes"]:
    """One row per label: 1 at the index of its class, 0 elsewhere."""
    return (np.asarray(numbers)[:, None] == np.arange(num_classes)).astype(np.float32)


def number_classes(labels: np.ndarray) -> tuple[tuple[str, ...], Integer[np.ndarray, " n"]]:
    """Make each distinct value of [n] a class of that name: (names of the classes, the index of each label's class)."""
    values, numbers = np.unique(labels, return_inverse=True)
    return tuple(map(str, values.tolist())), numbers


def grid_columns(num_classes: int, num: int, least: int = 1) -> int:
    """Number of columns of a grid with one class per row: at least `least`, and enough for `num` images."""
    return max(least, math.ceil(num / num_classes))


def renumber(labels: Integer[np.ndarray, " n"], own: Classes, classes: Classes, title: str) -> np.ndarray:
    """Convert labels from indices into the classes `own` to indices into `classes`.

    Raises:
      ValueError: an image has no label (-1), or one of a class that is not in `classes`.
    """
    missing = int((labels < 0).sum())
    if missing:
        raise ValueError(
            f"expected a label for each image of {shorten(title, 100)}, for dataset.context='label'; "
            f"got {missing:,} images without a label: leave them out, or use another split"
        )
    position = {name: i for i, name in enumerate(classes)}
    table = np.array([position.get(name, -1) for name in own])
    numbers = table[labels]
    if (numbers < 0).any():
        unknown = own[int(labels[np.argmax(numbers < 0)])]
        raise ValueError(
            f"expected labels of the run's classes, {shown(classes)}, in {shorten(title, 100)}; "
            f"got {shorten(unknown)}: use data with the classes of the training split"
        )
    return numbers


def find_classes(text: str, classes: Classes) -> list[int]:
    """Indices of the classes in a text: one name, or several separated by commas.

    If no class is named by a whole number, whole numbers in the text are indices of classes, from 0.

    Raises:
      ValueError: there is no such class.
    """
    names = {name: i for i, name in enumerate(classes)}
    if text.strip() in names:  # a name may contain a comma
        return [names[text.strip()]]
    if not any(name.lstrip("-").isdecimal() for name in classes):
        names = {str(i): i for i in range(len(classes))} | names
    found = []
    for part in map(str.strip, text.split(",")):
        if part not in names:
            (near,) = difflib.get_close_matches(part, classes, n=1, cutoff=0.0)
            raise ValueError(
                f"expected one of the run's classes, {shown(classes)}; "
                f"got {shorten(part)}: did you mean {shorten(near)}?"
            )
        found.append(names[part])
    return found


def shown(classes: Classes, length: int = 120) -> str:
    """The names of classes for a message, cut to about `length` characters."""
    return shorten(", ".join(classes), length)
