"""Image data sets: scikit-learn's digits, generated shapes, and anything that TFDS has prepared in array_record layout.

Every split is decoded once into memory, as uint8 [n, height, width, channels].
"""

import difflib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.examples import STREAMS, Examples, Splits
from realnvp_jax.data.shapes import sample_shapes
from realnvp_jax.models.flow import Flow
from realnvp_jax.preprocessing import check_pixels

_NUM_SHAPES = {"validation": 2000, "test": 10_000}


def load_images(
    name: str, data_dir: str, split_names: dict[str, str], flow: Flow, *, num_train: int = 100_000, seed: int = 0
) -> Splits:
    """Load or generate the three splits of a data set.

    Args:
      name: "digits", "shapes", or a TFDS data set's name (with its config, "downsampled_imagenet/32x32").
      data_dir: TFDS's data directory; "" for the environment's TFDS_DATA_DIR, or ~/tensorflow_datasets.
      split_names: "train", "validation" and "test" to names such as "train[:90%]" or "test[-1000:]".
      flow: the flow that will see the images; they must have its shape and number of levels.
      num_train: training images of shapes; there are 2,000 for validation and 10,000 for the test.
      seed: of shapes.

    Raises:
      ValueError: the data set is unknown or not prepared in data_dir, a split is unknown or empty, or the images do
        not fit the flow.
    """
    sources: dict[str, np.ndarray] = {}
    splits = {}
    for role, text in split_names.items():
        source, start, stop = parse_split(text)
        if source not in sources:
            if name == "shapes":
                images = _shapes(source, num_train, seed)
            else:
                images = _digits(source) if name == "digits" else _prepared_by_tfds(name, source, data_dir)
            _check_images(images, name, flow)
            sources[source] = images
        whole = sources[source]
        part = slice(position(start, len(whole)), position(stop, len(whole)))
        splits[role] = whole[part]
        if len(splits[role]) == 0:
            raise ValueError(f"expected examples in dataset.{role}={text!r}; got none of {len(whole)}")
    return Splits(Examples(splits["train"]), Examples(splits["validation"]), Examples(splits["test"]))


def parse_split(text: str) -> tuple[str, str, str]:
    """Take a split's name apart: train[:90%] is ("train", "", "90%"), and absent bounds are "".

    Raises:
      ValueError: the text is not name, name[a:b] with integers or percentages.
    """
    match = re.fullmatch(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", text)
    if match is None:
        raise ValueError(f"expected a split such as train, train[:90%] or test[-1000:]; got {text!r}")
    return match[1], match[2] or "", match[3] or ""


def position(bound: str, length: int) -> int | None:
    """A bound of `parse_split` as an index into `length` examples: percentages are rounded, an absent bound is None."""
    if not bound:
        return None
    return round(int(bound[:-1]) * length / 100) if bound.endswith("%") else int(bound)


def _check_images(images: np.ndarray, name: str, flow: Flow) -> None:
    if images.shape[1:] != flow.event_shape:
        raise ValueError(
            f"expected images of shape {flow.event_shape}, model.event_shape, in {name!r}; got {images.shape[1:]}"
        )
    check_pixels(images, flow.levels or 256)


def _digits(split: str) -> np.ndarray:
    """The 1,797 handwritten digits of scikit-learn, 8x8 with 17 levels, in one fixed random order."""
    if split != "all":
        raise ValueError(f"expected a part of the split 'all' of digits, such as all[:80%]; got {split!r}")
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    images = digits.images.astype(np.uint8)[..., None]
    return images[np.random.default_rng(0).permutation(len(images))]


def _shapes(split: str, num_train: int, seed: int) -> np.ndarray:
    if split not in STREAMS:
        raise ValueError(f"expected a split of shapes, one of {tuple(STREAMS)}, or a part of it; got {split!r}")
    if num_train < 1:
        raise ValueError(f"expected dataset.num_train of at least 1; got {num_train}")
    return sample_shapes(_NUM_SHAPES.get(split, num_train), (seed, STREAMS[split]))


def _prepared_by_tfds(name: str, split: str, data_dir: str) -> np.ndarray:
    root = Path(data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()
    prepared = sorted((root / name).glob("*/dataset_info.json"), key=_version)
    if not prepared:
        raise ValueError(_not_prepared(name, root))
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(prepared[-1].parent)  # pyright: ignore
    if split not in builder.info.splits:
        raise ValueError(f"expected one of the splits {sorted(builder.info.splits)} of {name!r}; got {split!r}")
    try:
        source = builder.as_data_source(split)
    except NotImplementedError:
        raise ValueError(
            f"expected {name!r} in {prepared[-1].parent} prepared with file_format='array_record'; "
            f"got {builder.info.file_format}: prepare it again in that format"
        ) from None
    if "image" not in builder.info.features:
        raise ValueError(f"expected a feature 'image' in {name!r}; got {sorted(builder.info.features)}")
    if len(source) == 0:
        raise ValueError(f"expected examples in the split {split!r} of {name!r}; got none")
    first = source[0]["image"]
    images = np.empty((len(source), *first.shape), np.uint8)
    for i, example in enumerate(source):
        if example["image"].shape != first.shape:
            raise ValueError(f"expected images of one size in {name!r}; got {first.shape} and {example['image'].shape}")
        images[i] = example["image"]
    return images


def _version(info: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", info.parent.name)]


def _not_prepared(name: str, root: Path) -> str:
    found = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    here = sorted({path.parent.parent.relative_to(root).as_posix() for path in found})
    near = difflib.get_close_matches(name, ["digits", "shapes", *here], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return (
        f"expected dataset.name digits, shapes, or one that TFDS has prepared in array_record layout under {root} "
        f"(there: {', '.join(here[:5]) or 'none'}); got {name!r}: {hint}set dataset.data_dir to where "
        f"{name}/<version>/dataset_info.json lies"
    )
