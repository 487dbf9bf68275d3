"""Data sets of TFDS, by their names or in a directory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.images.prepare import find_or_prepare
from realnvp_jax.data.images.prepared import prepared_source, prepared_splits
from realnvp_jax.data.images.source import Source
from realnvp_jax.registry import register
from realnvp_jax.text import shorten


@dataclasses.dataclass(frozen=True)
class Tfds(DataSet):
    """The data set that TFDS knows by this name, such as "cifar10" or "downsampled_imagenet/32x32".

    Attributes:
      data_dir: TFDS's data directory; "" for the environment's TFDS_DATA_DIR, or ~/tensorflow_datasets.
      manual_dir: where the original files are, if they were downloaded by hand.
    """

    data_dir: str = ""
    manual_dir: str = ""
    split_names: ClassVar[tuple[str, ...]] = ()

    def find_splits(self) -> Sequence[str]:
        """Names of the splits; the data set is first downloaded and prepared if necessary."""
        return prepared_splits(find_or_prepare(self.name, self.data_dir, self.manual_dir))

    def load(self, split: str) -> Source:
        """The images of a split; the data set is first downloaded and prepared if necessary."""
        return prepared_source(find_or_prepare(self.name, self.data_dir, self.manual_dir), split)


@register("dataset", "tfds")
@dataclasses.dataclass(frozen=True)
class PreparedTfds(DataSet):
    """A data set that TFDS has prepared.

    Attributes:
      path: the directory of dataset_info.json.
    """

    path: str = ""
    split_names: ClassVar[tuple[str, ...]] = ()

    def find_splits(self) -> Sequence[str]:
        """Names of the splits."""
        return prepared_splits(self._directory())

    def load(self, split: str) -> Source:
        """The images of a split."""
        return prepared_source(self._directory(), split)

    def _directory(self) -> Path:
        directory = Path(self.path).expanduser()
        if not self.path or not (directory / "dataset_info.json").is_file():
            raise ValueError(
                f"expected a directory with dataset_info.json, as TFDS prepares it, in dataset.path; "
                f"got {shorten(self.path, 150)}"
            )
        return directory
