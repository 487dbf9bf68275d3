"""Splits of any data set of images, checked and framed, with their labels as context if requested.

Images that are decoded from files are memory-mapped from the cache (`data.images.cache`).
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.images.cache import decode_once, default_cache_dir
from realnvp_jax.data.images.cache_entry import Decoded
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.labels import one_hot, renumber
from realnvp_jax.data.images.source import Labels, Source, source_in_memory
from realnvp_jax.data.splits import parse_splits, part_of
from realnvp_jax.models.flow import Flow
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.text import shorten


@dataclasses.dataclass(frozen=True)
class FramedImages:
    """A data set of images and how to prepare it: the keys of `config.dataset` that all data sets of images read.

    Attributes:
      dataset: the data set.
      cache_dir: directory of the decoded images; "" for the user's cache directory.
      crop: see `Framing`.
      resize: see `Framing`.
      resample: see `Framing`.
      num_bits: see `Framing`.
      strict: whether an unusable picture is an error, instead of being left out.
    """

    dataset: DataSet
    cache_dir: str = ""
    crop: str = "none"
    resize: int = 0
    resample: str = "antialias"
    num_bits: int = 0
    strict: bool = False

    def framing(self, shape: tuple[int, ...]) -> Framing:
        """The framing that turns images into [height, width, channels] = shape."""
        height, width, channels = shape
        return Framing((height, width, channels), self.crop, self.resize, self.resample, self.num_bits)


def load_images(data: FramedImages, split_names: Mapping[str, str], flow: Flow, classes: Sequence[str] = ()) -> Splits:
    """Load, generate, or download and prepare the three splits of a data set.

    Args:
      data: the images.
      split_names: "train", "validation" and "test", each with a split such as "train[:90%]" or "test[-1000:]".
      flow: the flow that will see the images; they must have its shape and number of levels.
      classes: names of the classes (from `load_classes`) whose one-hot labels become the context; () for no context.

    Raises:
      ValueError: the data do not exist and cannot be prepared, a split is unknown or empty, the images do not fit the
        flow, or `classes` is given and the images lack labels of these classes.
    """
    framing = data.framing(flow.event_shape)
    wholes: dict[str, Decoded] = {}
    labels: dict[str, np.ndarray] = {}
    splits: dict[str, Examples] = {}
    files: dict[str, tuple[str, ...]] = {}
    parts: dict[str, tuple[str, range]] = {}
    for role, bounds in parse_splits(data.dataset, split_names).items():
        name = bounds[0]
        if name not in wholes:
            wholes[name] = load_split(data, name, framing, labelled=bool(classes))
            check_pixels(np.asarray(wholes[name].levels), flow.levels or 256)
            if classes:
                own = wholes[name].labels
                assert own is not None  # `labelled`
                labels[name] = renumber(own, wholes[name].classes, classes, f"{data.dataset.title}, {name}")
        whole = wholes[name]
        part = part_of(len(whole.images), bounds)
        parts[role] = name, range(len(whole.images))[part]
        splits[role] = Examples(whole.images[part], one_hot(labels[name][part], len(classes)) if classes else None)
        if len(splits[role]) == 0:
            raise ValueError(
                f"expected examples in dataset.{role}={split_names[role]!r}; got none of {len(whole.images)}"
            )
        if whole.files is not None:
            files[role] = whole.files[part]
    left_out = {file: reason for decoded in wholes.values() for file, reason in decoded.left_out.items()}
    hashes = {name: decoded.sha256 for name, decoded in wholes.items() if decoded.sha256}
    hashes |= {f"labels of {name}": hashlib.sha256(labels[name].tobytes()).hexdigest() for name in hashes if classes}
    return Splits(
        splits["train"],
        splits["validation"],
        splits["test"],
        files=files,
        left_out=left_out,
        sha256=hashes,
        classes=tuple(classes),
        parts=parts,
    )


def load_classes(dataset: DataSet, split: str) -> tuple[str, ...]:
    """Names of the classes of a data set, without decoding its images.

    Args:
      dataset: the data set.
      split: the training split, such as "train[:90%]", whose labels define the classes.

    Raises:
      ValueError: the data do not exist, have no labels, or have fewer than two classes.
    """
    name = parse_splits(dataset, {"train": split})["train"][0]
    source = open_split(dataset, name)
    classes = _labels_of(source).classes
    if len(classes) < 2:
        raise ValueError(
            f"expected at least 2 classes in {shorten(source.title, 150)} for dataset.context='label'; "
            f"got {shorten(', '.join(classes))}: leave dataset.context empty"
        )
    return classes


def open_split(dataset: DataSet, split: str) -> Source:
    """The images of a split, not yet framed.

    Raises:
      ValueError: the images do not exist, there is no such split, or the data set does not load images.
    """
    loaded = dataset.load(split)
    return loaded if isinstance(loaded, Source) else source_in_memory(dataset.title, loaded)


def load_split(data: FramedImages, split: str, framing: Framing, *, labelled: bool = False) -> Decoded:
    """All images of a split, framed, with their labels if they have any.

    Args:
      data: the images.
      split: name of the split.
      framing: how the images are cropped and resized.
      labelled: refuse images without labels.

    Raises:
      ValueError: as in `load_images`.
    """
    source = open_split(data.dataset, split)
    if labelled:
        _labels_of(source)
    if source.shape is not None and framing.crop == "none" and source.shape != framing.shape:
        raise ValueError(
            f"expected images of shape {framing.shape}, model.event_shape, in {source.title!r}; got {source.shape}: "
            "change model.event_shape, or set dataset.crop to crop and resize them"
        )
    if source.images is not None:
        return _frame(source, source.images, framing, data.dataset.levels)
    cache_dir = Path(data.cache_dir).expanduser() if data.cache_dir else default_cache_dir()
    return decode_once(source, framing, cache_dir, strict=data.strict)


def _frame(source: Source, images: np.ndarray, framing: Framing, levels: int) -> Decoded:
    """Frame images that are in memory."""
    if framing.num_bits and levels < 256:
        raise ValueError(
            f"expected dataset.num_bits=0 for {source.title}, whose pixels have fewer than 256 levels; "
            f"got {framing.num_bits}"
        )
    if framing.crop != "none" or framing.num_bits:
        try:
            images = np.stack([framing.frame(image) for image in images])
        except BadPictureError as error:
            raise ValueError(f"expected a crop that fits into the images of {source.title}; got {error}") from None
    bounds = (int(images.min()), int(images.max()))
    if isinstance(source.labels, str):
        return Decoded(images, bounds, None, {})
    numbers = np.array([source.labels.number(i) for i in range(len(images))], np.int32)
    return Decoded(images, bounds, None, {}, classes=source.labels.classes, labels=numbers)


def _labels_of(source: Source) -> Labels:
    if isinstance(source.labels, str):
        raise ValueError(
            f"expected labels in {shorten(source.title, 100)}, for dataset.context='label'; got {source.labels}: "
            "use data with a label for each image, or leave dataset.context empty"
        )
    return source.labels
