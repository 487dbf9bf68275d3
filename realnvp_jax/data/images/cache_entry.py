"""One entry of the cache of decoded images: a directory, whose parts are compared with their hashes when it is opened.

  images.bin   the pixels of all images, one after the other
  labels.bin   the class of each image, int32, if there are labels
  files.json   the names of the images, if they have any
  entry.json   a description, with the hashes of the other files, and the hash of the description itself

Hashes are SHA-256. Every byte is read and hashed each time that an entry is opened, once per start of a program, except
for an entry that this program has just written. This takes about a second per GB, which a line announces for large
entries, and also brings the file into the system's cache, where training looks for it. A damaged entry counts as none,
so that its images are decoded again.
"""

import dataclasses
import hashlib
import json
import math
import os
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Int32, UInt8

_ANNOUNCED_BYTES = 2 * 10**9  # of images, whose check takes seconds
_KEYS = {"title", "num", "shape", "levels", "left_out", "classes", "hashes"}


@dataclasses.dataclass(frozen=True, eq=False)
class Decoded:
    """A source's images, decoded and framed.

    Attributes:
      images: [n, height, width, channels], memory-mapped from the file.
      levels: lowest and highest pixel value.
      files: names of the images, if they have any.
      left_out: names of unusable pictures, each with the reason.
      sha256: hash of the images, in hexadecimal; "" for images that do not come from files.
      classes: names of the classes of the images; () if they have no labels.
      labels: each image's class as an index into `classes`, -1 for an image without one; None if there are no labels.
    """

    images: UInt8[np.ndarray, "n height width channels"]
    levels: tuple[int, int]
    files: tuple[str, ...] | None
    left_out: dict[str, str]
    sha256: str = ""
    classes: tuple[str, ...] = ()
    labels: Int32[np.ndarray, " n"] | None = None


def open_entry(path: Path, *, is_new: bool = False) -> Decoded | None:
    """The images of an entry, or None if any part of it is missing or damaged.

    Args:
      path: the directory of the entry.
      is_new: this program has just written the entry, with the hashes of what it wrote, so they need no comparison.
    """
    entry = read_description(path)
    if entry is None or not (is_new or _is_as_written(path, entry)):
        return None
    shape = (entry["num"], *entry["shape"])
    images = np.asarray(np.memmap(path / "images.bin", np.uint8, "r", shape=shape))
    labels = np.fromfile(path / "labels.bin", np.int32) if entry["classes"] else None
    has_files = "files.json" in entry["hashes"]
    files = tuple(json.loads((path / "files.json").read_text())) if has_files else None
    sha256, classes = entry["hashes"]["images.bin"], tuple(entry["classes"])
    return Decoded(images, tuple(entry["levels"]), files, entry["left_out"], sha256, classes, labels)


def _is_as_written(path: Path, entry: dict[str, Any]) -> bool:
    num_bytes = math.prod((entry["num"], *entry["shape"]))
    if num_bytes > _ANNOUNCED_BYTES:
        print(f"checking {num_bytes / 1e9:,.1f} GB of decoded images in the cache", file=sys.stderr, flush=True)
    return all(_hash(path / name) == expected for name, expected in entry["hashes"].items())


def read_description(path: Path) -> dict[str, Any] | None:
    """The description of an entry, or None if it is damaged, or if a file does not have the size that it says."""
    try:
        content = json.loads((path / "entry.json").read_text())
        entry = content["entry"]
        sizes = {"images.bin": math.prod((entry["num"], *entry["shape"])), "labels.bin": 4 * entry["num"]}
        found = {name: (path / name).stat().st_size for name in entry["hashes"]}
        is_complete = set(entry) >= _KEYS and all(sizes.get(name, size) == size for name, size in found.items())
        return entry if is_complete and content["sha256"] == _hash_of(entry) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_description(path: Path, entry: dict[str, Any], hashes: dict[str, str]) -> None:
    """Write the description of an entry, with the hashes of its other files."""
    entry = {**entry, "hashes": hashes}
    write_json(path / "entry.json", {"entry": entry, "sha256": _hash_of(entry)})


def write_json(path: Path, value: object) -> str:
    """Write a JSON file, and return its hash."""
    content = json.dumps(value).encode()
    write_bytes(path, content)
    return hashlib.sha256(content).hexdigest()


def write_bytes(path: Path, content: bytes) -> str:
    """Write a file to the disk, and return its hash."""
    with path.open("wb") as file:
        file.write(content)
        flush(file)
    return hashlib.sha256(content).hexdigest()


def flush(file: IO[Any]) -> None:
    """Flush what has been written to a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _hash(path: Path) -> str:
    """The hash of a file; "" for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _hash_of(entry: dict[str, Any]) -> str:
    """The hash of a description, which does not depend on how its JSON is written."""
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
