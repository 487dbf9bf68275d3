"""What a data set is: a small frozen object that loads the examples of each of its splits.

Your own data set is a class and one line:

    @dataclasses.dataclass(frozen=True)
    class Mirrored(realnvp_jax.DataSet):
        seed: int = 0

        def load(self, split):
            return realnvp_jax.Examples(images, labels=kinds)

    realnvp_jax.register("dataset", "mirrored", Mirrored)

With `config.dataset.name = "mirrored"` it can be split, checked, framed and trained on like any other.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from realnvp_jax.data.examples import Examples
from realnvp_jax.registry import check_parameters, registered

if TYPE_CHECKING:
    from realnvp_jax.data.images.source import Source

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set. The fields of a subclass are the keys of `config.dataset` that it reads: `path` is `dataset.path`.

    Class attributes, which a subclass overrides if its values differ:
      is_of_images: whether x is uint8 [n, height, width, channels]; otherwise it holds rows of real numbers, [n, D].
      split_names: names of the splits, the training split first; () if they depend on files.
      levels: number of values that a pixel can take.

    Attributes:
      name: the name by which a config chooses the data set.
    """

    name: str = ""

    is_of_images: ClassVar[bool] = True
    split_names: ClassVar[tuple[str, ...]] = ("all",)
    levels: ClassVar[int] = 256

    def __post_init__(self):
        check_parameters(self)

    @property
    def title(self) -> str:
        """What the data set is called in messages: its path, its name, or the name of its class."""
        return getattr(self, "path", "") or self.name or type(self).__name__

    def find_splits(self) -> Sequence[str]:
        """Names of the splits. A data set whose splits depend on files looks at the files."""
        return self.split_names

    def load(self, split: str) -> "Examples | Source":
        """The examples of a whole split, always in the same order, with any labels or column names.

        Images that are decoded from files are returned as a `Source`, which is decoded once and then cached.

        Args:
          split: one of `split_names`; any name if these are ().

        Raises:
          ValueError: there is no such split, or its files do not exist.
        """
        raise NotImplementedError


def from_keys(part: type[T], keys: Mapping[str, Any]) -> T:
    """An object whose fields take the values of the keys of the same names; other fields keep their defaults."""
    names = [field.name for field in dataclasses.fields(part) if field.name in keys]  # pyright: ignore[reportArgumentType]
    return part(**{name: tuple(value) if isinstance(value := keys[name], list) else value for name in names})


def dataset_names(*, of_images: bool) -> list[str]:
    """The registered names of data sets of images, or of vectors."""
    return [name for name, part in registered("dataset").items() if part.is_of_images == of_images]  # pyright: ignore[reportAttributeAccessIssue]
