"""Data sets that TFDS has prepared in array_record layout, read without TensorFlow.

dataset_info.json and features.json tell what a data set holds; TFDS is imported only when images are decoded.
"""

import functools
import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.source import Labels, Source
from realnvp_jax.text import shorten

_FILE_FORMAT = "array_record"


def find_prepared(name: str, root: Path) -> Path | None:
    """The directory of the newest version of a data set under TFDS's data directory, or None if there is none.

    A version that can be read without TensorFlow takes precedence over a newer one that cannot.
    """
    found = [info.parent for info in (root / name).glob("*/dataset_info.json")]
    found = [directory for directory in found if re.fullmatch(r"\d+\.\d+\.\d+", directory.name)]
    return max(found, key=lambda directory: (_is_readable(directory), _version(directory)), default=None)


def prepared_names(root: Path) -> list[str]:
    """Names of the data sets under TFDS's data directory, "name" or "name/config"."""
    found = [*root.glob("*/*/dataset_info.json"), *root.glob("*/*/*/dataset_info.json")]
    return sorted({path.parent.parent.relative_to(root).as_posix() for path in found})


def prepared_splits(directory: Path) -> list[str]:
    """Names of the splits of a prepared data set.

    Raises:
      ValueError: the directory does not hold a prepared data set.
    """
    return sorted(split["name"] for split in _read_info(directory)["splits"])


def prepared_source(directory: Path, split: str) -> Source:
    """The images of a split of a prepared data set: its feature "image", in the order of its files.

    The labels are its feature "label", if that is a ClassLabel.

    Args:
      directory: the directory of dataset_info.json.
      split: name of a split.

    Raises:
      ValueError: the data set is in another file format, has no such split, or has no images.
    """
    info, features = _read_info(directory), _read(directory, "features.json")
    name = "/".join(info[key] for key in ("name", "configName", "version") if key in info)
    lengths = {entry["name"]: sum(map(int, entry.get("shardLengths", ()))) for entry in info["splits"]}
    if split not in lengths:
        raise ValueError(f"expected one of the splits {sorted(lengths)} of {name!r}; got {shorten(split)}")
    if info.get("fileFormat") != _FILE_FORMAT:
        raise ValueError(
            f"expected {name!r} in {shorten(directory, 150)} prepared with file_format={_FILE_FORMAT!r}; "
            f"got {info.get('fileFormat', 'none')}: prepare it again in that format"
        )
    if lengths[split] == 0:
        raise ValueError(f"expected examples in the split {split!r} of {name!r}; got none")
    named = features.get("featuresDict", {}).get("features", {})
    image = named.get("image", {}).get("image")
    if image is None or image.get("dtype", "uint8") != "uint8":
        raise ValueError(f"expected a feature 'image' of uint8 images in {name!r}; got {shorten(', '.join(named))}")
    dimensions = tuple(map(int, image.get("shape", {}).get("dimensions", ())))
    shape = dimensions if len(dimensions) == 3 and min(dimensions) > 0 else None
    identity = {
        "kind": "tfds",
        "name": name,
        "split": split,
        "directory": str(directory.resolve()),
        "files": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(directory.iterdir())],
    }
    lock = threading.Lock()  # the reader of array_record files is not thread-safe
    records = functools.cache(lambda: _records(directory, split))

    def read(framing: Framing, i: int) -> np.ndarray:
        try:
            with lock:
                encoded = records()[i]["image"]
        except Exception as error:  # of several kinds, depending on what is damaged
            raise _damaged(directory, error) from None
        return framing.decode(encoded)

    def label(i: int) -> int:
        with lock:
            return int(records()[i]["label"])

    classes = _class_names(directory, named)
    labels = Labels(classes, label) if classes else f"the features {shorten(', '.join(named), 100)}"
    return Source(f"{name}, {split}", identity, lengths[split], read, shape=shape, labels=labels)


def _class_names(directory: Path, features: dict[str, Any]) -> tuple[str, ...]:
    """Names of the classes of the feature "label"; their numbers if they have no names; () if there are no classes."""
    num = int(features.get("label", {}).get("classLabel", {}).get("numClasses", 0))
    file = directory / "label.labels.txt"
    names = tuple(filter(None, file.read_text(encoding="utf-8").split("\n"))) if file.is_file() else ()
    return names if len(names) == num else tuple(map(str, range(num)))


def _records(directory: Path, split: str) -> Any:
    """The records of a split, their images still encoded."""
    import tensorflow_datasets as tfds

    builder: Any = tfds.builder_from_directory(directory)  # pyright: ignore
    return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def _read_info(directory: Path) -> dict[str, Any]:
    info = _read(directory, "dataset_info.json")
    if not {"name", "version", "splits"} <= set(info):
        raise _damaged(directory, "no name, version or splits in dataset_info.json")
    return info


def _read(directory: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((directory / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(directory, error) from None


def _is_readable(directory: Path) -> bool:
    try:
        return _read(directory, "dataset_info.json").get("fileFormat") == _FILE_FORMAT
    except ValueError:
        return False


def _damaged(directory: Path, error: Exception | str) -> ValueError:
    return ValueError(
        f"expected a data set that TFDS has prepared in {shorten(directory, 150)}; got {shorten(error, 150)}"
    )


def _version(directory: Path) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", directory.name)]
