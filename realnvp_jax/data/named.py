"""Data sets by name. The modules imported here register theirs; image models also take any name that TFDS knows."""

from collections.abc import Mapping
from typing import Any

from realnvp_jax.data.dataset import DataSet, dataset_names, from_keys
from realnvp_jax.data.images import arrays, digits, folder, shapes  # noqa: F401
from realnvp_jax.data.images.framed import FramedImages
from realnvp_jax.data.images.tfds import Tfds
from realnvp_jax.data.vectors import mixture, sklearn_tables, table_files, toy, uci  # noqa: F401
from realnvp_jax.registry import advice, listed, registered
from realnvp_jax.text import shorten


def find_dataset(keys: Mapping[str, Any], *, of_images: bool) -> DataSet:
    """The data set that the keys of `config.dataset` describe.

    Args:
      keys: "name", and the keys that the data set of this name reads.
      of_images: whether the model is for images.

    Raises:
      ValueError: the name is unknown, the data set has vectors where images are needed (or the other way round), or a
              value is out of range.
    """
    name = keys["name"]
    if name in registered("dataset"):
        part = registered("dataset")[name]
    elif of_images:
        part = Tfds
    else:
        part = None
    if part is None or part.is_of_images != of_images:
        names = dataset_names(of_images=of_images)
        kind = "images" if of_images else "vectors"
        other = "vectors" if of_images else "images"
        hint = f"it has {other}, so choose a model of {other}" if name in registered("dataset") else advice(name, names)
        raise ValueError(f"expected dataset.name of {kind}, one of {listed(names)}; got {shorten(name)}: {hint}")
    return from_keys(part, keys)


def find_images(keys: Mapping[str, Any]) -> FramedImages:
    """The images that the keys of `config.dataset` describe.

    Raises:
      ValueError: as in `find_dataset`.
    """
    return from_keys(FramedImages, {**keys, "dataset": find_dataset(keys, of_images=True)})
