"""Image data sets: scikit-learn's digits, generated shapes, anything of TFDS, folders of pictures and arrays in files.

What is decoded from files comes from the cache (`data.cache`), mapped into memory: uint8 [n, height, width, channels].
"""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.arrays import array_source
from realnvp_jax.data.cache import Decoded, decode_once, default_cache_dir
from realnvp_jax.data.examples import STREAMS, Examples, Splits
from realnvp_jax.data.folder import folder_source
from realnvp_jax.data.framing import BadPictureError, Framing
from realnvp_jax.data.labels import one_hot, renumber
from realnvp_jax.data.prepare import find_or_prepare
from realnvp_jax.data.prepared import prepared_source
from realnvp_jax.data.quote import quote
from realnvp_jax.data.shapes import KINDS, sample_labelled_shapes
from realnvp_jax.data.source import Labels, Source
from realnvp_jax.models.flow import Flow
from realnvp_jax.preprocessing import check_pixels

_NUM_SHAPES = {"validation": 2000, "test": 10_000}
_IN_MEMORY = {"digits": tuple("0123456789"), "shapes": KINDS}  # and their classes


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Which images: the keys of `config.dataset` that say so.

    Attributes:
      name: "digits" (scikit-learn's), "shapes" (generated), "folder" (of pictures), "npz" (a .npz or .npy file), "tfds"
        (a directory that TFDS has prepared), or the name of a TFDS data set, with its config if it has several.
      path: the folder, the file or the directory.
      data_dir: TFDS's data directory; "" for the environment's TFDS_DATA_DIR, or ~/tensorflow_datasets.
      manual_dir: where the original files of a TFDS data set are, if they were downloaded by hand.
      cache_dir: of the decoded images; "" for the user's cache directory.
      crop: see `Framing`; so are resize, resample and num_bits.
      resize: see `Framing`.
      resample: see `Framing`.
      num_bits: see `Framing`.
      strict: whether a picture that cannot be used is an error, instead of being left out.
      num_train: training images of shapes; there are 2,000 for validation and 10,000 for the test.
      seed: of shapes, and of the order of a folder's or an array's images before they are split.
    """

    name: str
    path: str = ""
    data_dir: str = ""
    manual_dir: str = ""
    cache_dir: str = ""
    crop: str = "none"
    resize: int = 0
    resample: str = "antialias"
    num_bits: int = 0
    strict: bool = False
    num_train: int = 100_000
    seed: int = 0

    def framing(self, shape: tuple[int, ...]) -> Framing:
        """How images become [height, width, channels] = shape."""
        height, width, channels = shape
        return Framing((height, width, channels), self.crop, self.resize, self.resample, self.num_bits)


def load_images(data: ImageData, split_names: dict[str, str], flow: Flow, classes: Sequence[str] = ()) -> Splits:
    """Load, generate, or download and prepare the three splits of a data set.

    Args:
      data: which.
      split_names: "train", "validation" and "test" to names such as "train[:90%]" or "test[-1000:]". Digits, a folder
        and a single array have the split "all", in an order that `data.seed` fixes (digits have one order).
      flow: the flow that will see the images; they must have its shape and number of levels.
      classes: names of the classes (of `load_classes`) whose one-hot labels are the context; () for no context.

    Raises:
      ValueError: the data are not there and cannot be prepared, a split is unknown or empty, the images do not fit the
        flow, or there are `classes` but no labels of these.
    """
    framing = data.framing(flow.event_shape)
    sources: dict[str, Decoded] = {}
    labels: dict[str, np.ndarray] = {}
    splits: dict[str, Examples] = {}
    files: dict[str, tuple[str, ...]] = {}
    for role, text in split_names.items():
        name, start, stop = parse_split(text)
        if name not in sources:
            sources[name] = load_split(data, name, framing, labelled=bool(classes))
            check_pixels(np.asarray(sources[name].levels), flow.levels or 256)
            if classes:
                own = sources[name].labels
                assert own is not None  # `labelled`
                labels[name] = renumber(own, sources[name].classes, classes, f"{data.path or data.name}, {name}")
        whole = sources[name]
        part = slice(position(start, len(whole.images)), position(stop, len(whole.images)))
        splits[role] = Examples(whole.images[part], one_hot(labels[name][part], len(classes)) if classes else None)
        if len(splits[role]) == 0:
            raise ValueError(f"expected examples in dataset.{role}={text!r}; got none of {len(whole.images)}")
        if whole.files is not None:
            files[role] = whole.files[part]
    left_out = {file: reason for decoded in sources.values() for file, reason in decoded.left_out.items()}
    hashes = {name: decoded.sha256 for name, decoded in sources.items() if decoded.sha256}
    hashes |= {f"labels of {name}": hashlib.sha256(labels[name].tobytes()).hexdigest() for name in hashes if classes}
    return Splits(
        splits["train"],
        splits["validation"],
        splits["test"],
        files=files,
        left_out=left_out,
        sha256=hashes,
        classes=tuple(classes),
    )


def load_classes(data: ImageData, split: str) -> tuple[str, ...]:
    """Names of the classes of a data set, without decoding its images.

    Args:
      data: which.
      split: that of training, such as "train[:90%]": its labels tell the classes.

    Raises:
      ValueError: the data have no labels, or of fewer than two classes; or they are not there.
    """
    if data.name in _IN_MEMORY:
        return _IN_MEMORY[data.name]
    source = image_source(data, parse_split(split)[0])
    classes = _labels_of(source).classes
    if len(classes) < 2:
        raise ValueError(
            f"expected at least 2 classes in {quote(source.title, 150)} for dataset.context='label'; "
            f"got {quote(', '.join(classes))}: leave dataset.context empty"
        )
    return classes


def load_split(data: ImageData, split: str, framing: Framing, *, labelled: bool = False) -> Decoded:
    """All images of a split, framed, with their labels if they have any.

    Args:
      data: which.
      split: its name.
      framing: what is cut from the images.
      labelled: refuse images that have no labels.

    Raises:
      ValueError: as in `load_images`.
    """
    if data.name in _IN_MEMORY:
        images, labels = _digits(split) if data.name == "digits" else _shapes(split, data.num_train, data.seed)
        _check_shape(images.shape[1:], data.name, framing)
        if data.num_bits:
            raise ValueError(f"expected dataset.num_bits of 0 for {data.name}, which have fewer; got {data.num_bits}")
        if data.crop != "none":
            try:
                images = np.stack([framing.frame(image) for image in images])
            except BadPictureError as error:
                raise ValueError(f"expected a crop that fits into the images of {data.name}; got {error}") from None
        levels = (int(images.min()), int(images.max()))
        return Decoded(images, levels, None, {}, classes=_IN_MEMORY[data.name], labels=labels.astype(np.int32))
    source = image_source(data, split)
    if labelled:
        _labels_of(source)
    if source.shape is not None:
        _check_shape(source.shape, source.title, framing)
    cache_dir = Path(data.cache_dir).expanduser() if data.cache_dir else default_cache_dir()
    return decode_once(source, framing, cache_dir, strict=data.strict)


def image_source(data: ImageData, split: str) -> Source:
    """Where the images of a split come from, if they come from files.

    Raises:
      ValueError: they are not there, or there is no such split.
    """
    if data.name == "folder":
        return folder_source(data.path, split, data.seed)
    if data.name == "npz":
        return array_source(data.path, split, data.seed)
    if data.name == "tfds":
        directory = Path(data.path).expanduser()
        if not data.path or not (directory / "dataset_info.json").is_file():
            raise ValueError(
                f"expected a directory with dataset_info.json, as TFDS prepares it, in dataset.path; "
                f"got {quote(data.path, 150)}"
            )
        return prepared_source(directory, split)
    return prepared_source(find_or_prepare(data.name, data.data_dir, data.manual_dir), split)


def _labels_of(source: Source) -> Labels:
    if isinstance(source.labels, str):
        raise ValueError(
            f"expected labels in {quote(source.title, 100)}, for dataset.context='label'; got {source.labels}: "
            "use data with a label for each image, or leave dataset.context empty"
        )
    return source.labels


def parse_split(text: str) -> tuple[str, str, str]:
    """Take a split's name apart: train[:90%] is ("train", "", "90%"), and absent bounds are "".

    Raises:
      ValueError: the text is not name, name[a:b] with integers or percentages.
    """
    match = re.fullmatch(r"([\w./ -]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", text)
    if match is None:
        raise ValueError(f"expected a split such as train, train[:90%] or test[-1000:]; got {text!r}")
    return match[1], match[2] or "", match[3] or ""


def position(bound: str, length: int) -> int | None:
    """A bound of `parse_split` as an index into `length` examples: percentages are rounded, an absent bound is None."""
    if not bound:
        return None
    return round(int(bound[:-1]) * length / 100) if bound.endswith("%") else int(bound)


def _check_shape(shape: tuple[int, ...], title: str, framing: Framing) -> None:
    if framing.crop == "none" and shape != framing.shape:
        raise ValueError(
            f"expected images of shape {framing.shape}, model.event_shape, in {title!r}; got {shape}: "
            "change model.event_shape, or set dataset.crop to cut and resize them"
        )


def _digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 handwritten digits of scikit-learn, 8x8 with 17 levels, in one fixed random order, and their labels."""
    if split != "all":
        raise ValueError(f"expected a part of the split 'all' of digits, such as all[:80%]; got {split!r}")
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = digits.images.astype(np.uint8)[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    return images[order], digits.target[order]


def _shapes(split: str, num_train: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    if split not in STREAMS:
        raise ValueError(f"expected a split of shapes, one of {tuple(STREAMS)}, or a part of it; got {split!r}")
    if num_train < 1:
        raise ValueError(f"expected dataset.num_train of at least 1; got {num_train}")
    return sample_labelled_shapes(_NUM_SHAPES.get(split, num_train), (seed, STREAMS[split]))
