"""Examples in memory, and the three splits of a data set."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

STREAMS = {"train": 0, "validation": 1, "test": 2}  # random streams for the splits of generated data


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Examples, and what each is conditioned on, if anything.

    A data set sets `labels`, `classes` and `columns`; `dataset.context` chooses which of them become the context.

    Attributes:
      x: [n, *event]: uint8 pixels or float32 values.
      context: float32 [n, context size], or None.
      labels: labels of images, [n]: indices into `classes`, -1 for an image without a label. Without `classes`, each
        distinct value is the name of a class.
      classes: names of the classes, in the order of the indices in `labels`.
      columns: names of the columns of vectors; () to call them by their numbers.
    """

    x: np.ndarray
    context: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        """How many."""
        return len(self.x)

    def batch(self, indices: np.ndarray) -> dict[str, np.ndarray]:
        """{"x": ...}, and "context" if there is one, of the examples with these indices."""
        batch = {"x": self.x[indices]}
        return batch if self.context is None else {**batch, "context": self.context[indices]}

    def first(self, num: int) -> "Examples":
        """The first `num` examples, or all if there are fewer."""
        return Examples(self.x[:num], None if self.context is None else self.context[:num])


@dataclasses.dataclass(frozen=True)
class Splits:
    """Training, validation and test examples. Validation chooses the step; test chooses nothing.

    Attributes:
      columns: names of the columns of x if it is a table.
      all_columns: names of all columns of the table, in its order: the columns of x and of the context.
      unused_columns: names of the columns of the table that were left out.
      grids: (origin, spacing) of each discrete column of x that noise was added to; see `data.vectors.discrete`.
      notes: lines about the data for the start message of a run.
      files: names of the files of "train", "validation" and "test" if examples are files.
      left_out: names of unusable files, each with the reason.
      sha256: hashes of the images that the splits are taken from, if they come from files, and of their labels.
      classes: names of the classes if the context is the one-hot label of an image.
      parts: where "train", "validation" and "test" were taken from: (name of a whole split, indices in it).
    """

    train: Examples
    validation: Examples
    test: Examples
    columns: tuple[str, ...] = ()
    all_columns: tuple[str, ...] = ()
    unused_columns: tuple[str, ...] = ()
    grids: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    files: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    classes: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, range]] = dataclasses.field(default_factory=dict)
