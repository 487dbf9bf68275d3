"""Data sets that TFDS has prepared in array_record layout, read without TensorFlow.

dataset_info.json and features.json tell what a data set holds; TFDS is imported only when images are decoded. It never
reads these two files, since it would import every class that features.json names.
"""

import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.source import Labels, Source
from realnvp_jax.data.limits import ENCODED
from realnvp_jax.text import shorten

_FILE_FORMAT = "array_record"
_MOST_CLASSES = 100_000


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
    try:
        return sorted(split["name"] for split in _read_info(directory)["splits"])
    except (KeyError, TypeError) as error:
        raise _damaged(directory, error) from None


def prepared_source(directory: Path, split: str) -> Source:
    """The images of a split of a prepared data set: its feature "image", in the order of its files.

    The labels are its feature "label", if that is a ClassLabel.

    Args:
      directory: the directory of dataset_info.json.
      split: name of a split.

    Raises:
      ValueError: the data set is in another file format, has no such split, or has no images.
    """
    try:
        return _source(directory, split)
    except (AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:  # JSON values of other types than TFDS's
        raise _damaged(directory, error) from None


def _source(directory: Path, split: str) -> Source:
    info, features = _read_info(directory), _read(directory, "features.json")
    name = "/".join(info[key] for key in ("name", "configName", "version") if key in info)
    splits = {entry["name"]: entry for entry in info["splits"]}
    lengths = {key: sum(map(_size, entry.get("shardLengths", ()))) for key, entry in splits.items()}
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
    dimensions = tuple(map(_size, image.get("shape", {}).get("dimensions", ())))
    shape = dimensions if len(dimensions) == 3 and min(dimensions) > 0 else None
    identity = {
        "kind": "tfds",
        "name": name,
        "split": split,
        "directory": str(directory.resolve()),
        "files": [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(directory.iterdir())],
    }
    lock = threading.Lock()  # the reader of array_record files is not thread-safe
    classes = _class_names(directory, named)
    records = functools.cache(lambda: _records(directory, info["name"], splits[split], bool(classes)))

    def read(framing: Framing, i: int) -> np.ndarray:
        with contextlib.ExitStack() as held:
            try:
                with lock:
                    encoded = records()(i)["image"]
                    if not isinstance(encoded, bytes):
                        raise TypeError(f"{type(encoded).__name__} instead of an encoded image")
                    held.enter_context(ENCODED.take(len(encoded)))
            except Exception as error:  # of several kinds, depending on what is damaged
                raise _damaged(directory, error) from None
            return framing.decode(encoded)

    def label(i: int) -> int:
        try:
            with lock:
                return int(records()(i)["label"])
        except Exception as error:
            raise _damaged(directory, error) from None

    labels = Labels(classes, label) if classes else f"the features {shorten(', '.join(named), 100)}"
    return Source(f"{name}, {split}", identity, lengths[split], read, shape=shape, labels=labels)


def _size(text: Any) -> int:
    """A size in a JSON file, where TFDS writes numbers as text."""
    if not re.fullmatch(r"-?\d{1,15}", str(text)):
        raise TypeError(f"{shorten(text)} instead of a whole number")
    return int(text)


def _class_names(directory: Path, features: dict[str, Any]) -> tuple[str, ...]:
    """Names of the classes of the feature "label"; their numbers if they have no names; () if there are no classes."""
    num = _size(features.get("label", {}).get("classLabel", {}).get("numClasses", 0))
    file = directory / "label.labels.txt"
    if not 0 <= num <= _MOST_CLASSES:
        raise TypeError(f"{num} classes")
    names = tuple(filter(None, file.read_text(encoding="utf-8").split("\n"))) if file.is_file() else ()
    return names if len(names) == num else tuple(map(str, range(num)))


def _records(directory: Path, name: str, split: dict[str, Any], has_labels: bool) -> Callable[[int], Mapping[str, Any]]:
    """The function that reads record i of a split: the feature "image", still encoded, and "label" if it has labels."""
    import tensorflow_datasets as tfds
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    core: Any = tfds.core
    template = core.ShardedFileTemplate(directory, split.get("filepathTemplate", ""), name, split["name"], _FILE_FORMAT)
    shards = core.SplitInfo(split["name"], list(map(_size, split["shardLengths"])), 0, template)
    files = ArrayRecordDataSource(shards.file_instructions)
    labels = {"label": tfds.features.Scalar(np.int64)} if has_labels else {}
    features: Any = tfds.features.FeaturesDict({"image": tfds.features.Image(), **labels})
    decoders = {"image": tfds.decode.SkipDecoding()}
    return lambda i: features.deserialize_example_np(files[i], decoders=decoders)


def _read_info(directory: Path) -> dict[str, Any]:
    info = _read(directory, "dataset_info.json")
    if not {"name", "version", "splits"} <= set(info):
        raise _damaged(directory, "no name, version or splits in dataset_info.json")
    return info


def _read(directory: Path, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads((directory / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError) as error:
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
