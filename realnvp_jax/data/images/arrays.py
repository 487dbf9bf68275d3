"""Images in a .npz or .npy file: uint8 arrays [n, height, width] or [n, height, width, channels]."""

import dataclasses
import functools
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from realnvp_jax.data.array_files import Header, read_arrays, read_headers
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.labels import number_classes
from realnvp_jax.data.images.source import Labels, Source
from realnvp_jax.data.limits import DECODED, MOST_IMAGES, MOST_PIXELS
from realnvp_jax.registry import register
from realnvp_jax.text import describe_error, shorten

_MOST_CLASSES = 10_000  # arrays with more distinct numbers are not labels


@register("dataset", "npz")
@dataclasses.dataclass(frozen=True)
class Arrays(DataSet):
    """The images of an .npz or .npy file; see `array_source`.

    Attributes:
      path: the file.
      seed: seed of the order of the images of a single array.
    """

    path: str = ""
    seed: int = 0
    split_names: ClassVar[tuple[str, ...]] = ()

    def find_splits(self) -> Sequence[str]:
        """Names of the arrays of images, or "all" if there is only one."""
        return array_splits(self.path)

    def load(self, split: str) -> Source:
        """The images of an array."""
        return array_source(self.path, split, self.seed)


def array_source(path: str, split: str, seed: int) -> Source:
    """The images of an array.

    Every array of images in an .npz file is a split of that name. The array of an .npy file, or the only array of
    images in an .npz file, is the split "all", in an order that `seed` fixes. An .npy file may be larger than memory.

    The labels of an array `name` in an .npz file are whole numbers [n] in the array `name_labels`; or in `y` for `x`
    and `y_...` for `x_...`; or in `labels`, if there is no other array of images. Each distinct number is a class.

    Args:
      path: the file.
      split: "all", or the name of an array.
      seed: seed of the order of "all".

    Raises:
      ValueError: there is no such file or array, or it holds no uint8 images of one size.
    """
    file = _existing(path)
    name, shape = _find(file, split)
    num = shape[0]
    order = np.random.default_rng(seed).permutation(num) if split == "all" else np.arange(num)
    status = file.stat()
    identity = {
        "kind": "array",
        "file": str(file.resolve()),
        "size": status.st_size,
        "changed": (status.st_mtime_ns, status.st_ctime_ns),
        "split": split,
        "seed": seed if split == "all" else None,
    }
    lock = threading.Lock()
    images = functools.cache(lambda: _load(file, name))

    def read(framing: Framing, i: int) -> np.ndarray:
        with lock:  # the first thread loads the array
            array = images()
        with DECODED.take(array[0].size):
            image = np.asarray(array[order[i]])
            return framing.frame(image if image.ndim == 3 else image[..., None])

    event_shape = shape[1:] if len(shape) == 4 else (*shape[1:], 1)
    title = file.name if split == "all" else f"{file.name}, {split}"
    return Source(title, identity, num, read, shape=event_shape, labels=_labels(file, name, num, order))


def array_splits(path: str) -> list[str]:
    """The names of the splits of a file, as `array_source` takes them.

    Raises:
      ValueError: the file cannot be read, or there are no images in it.
    """
    headers = _image_headers(_existing(path))
    return list(headers) if len(headers) > 1 else ["all"]


def _existing(path: str) -> Path:
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise ValueError(
            f"expected an .npz or .npy file of images in dataset.path; got {shorten(path, 200)}, where there is no file"
        )
    return file


def _find(file: Path, split: str) -> tuple[str, tuple[int, ...]]:
    """The name of an array in an archive ("" for an .npy file), and its shape."""
    headers = _image_headers(file)
    name = next(iter(headers)) if split == "all" and len(headers) == 1 else split
    if name not in headers:
        names = [name for name in headers if name] or ["all"]
        raise ValueError(
            f"expected one of the arrays of images in {shorten(file.name)}, {shorten(', '.join(names), 150)}, "
            f"as a split; got {shorten(split)}"
        )
    shape, dtype = headers[name]
    if 0 in shape:
        raise ValueError(f"expected images in {shorten(name or file.name)}; got shape {shape}")
    if dtype != np.uint8:
        how = "x.astype(np.uint8) if they lie in [0, 255]"
        how = "np.rint(255 * x).astype(np.uint8) if they lie in [0, 1]" if dtype.kind == "f" else how
        raise ValueError(
            f"expected uint8 pixels in {shorten(name or file.name)}; got {shorten(dtype)}: convert them, {how}"
        )
    if shape[0] > MOST_IMAGES or math.prod(shape[1:]) > 4 * MOST_PIXELS:
        raise ValueError(
            f"expected at most {MOST_IMAGES:,} images of at most {MOST_PIXELS:,} pixels in "
            f"{shorten(name or file.name)}; got shape {shape}: split or shrink them"
        )
    return name, shape


def _labels(file: Path, name: str, num: int, order: np.ndarray) -> Labels | str:
    """The labels of an array of images, or a description of what was found instead."""
    headers = _headers(file)
    names = [f"{name}_labels"] if name else []
    if name == "x" or name.startswith("x_"):
        names.append(f"y{name[1:]}")
    if name and sum(_has_images(header) for header in headers.values()) == 1:
        names.append("labels")
    found = next((label for label in names if label in headers), None)
    if found is None:
        return f"no array called {' or '.join(map(shorten, names))}" if names else "an .npy file, which has one array"
    shape, dtype = headers[found]
    if dtype.kind not in "biu":
        return f"{shorten(dtype)} in {shorten(found)} instead of whole numbers, such as {shorten(found)}.astype(int)"
    if shape != (num,):
        return f"shape {shorten(shape)} of {shorten(found)} for {num:,} images, instead of {(num,)}"
    classes, numbers = number_classes(_load(file, found).astype(int))
    if len(classes) > _MOST_CLASSES:
        return f"{len(classes):,} distinct numbers in {shorten(found)}, more than {_MOST_CLASSES:,} classes"
    numbers = numbers[order]
    return Labels(classes, lambda i: int(numbers[i]))


def _load(file: Path, name: str) -> np.ndarray:
    """The array of an .npy file, memory-mapped, or an array read from an archive."""
    try:
        return read_arrays(file, [name])[name] if name else np.load(file, mmap_mode="r")
    except Exception as error:  # a damaged file can fail anywhere
        raise _unreadable(file, error) from None


def _image_headers(file: Path) -> dict[str, Header]:
    """Shape and type of the arrays with three or four axes; labels have fewer."""
    headers = _headers(file)
    images = {name: header for name, header in headers.items() if _has_images(header)}
    if not images:
        has_objects = any(dtype.hasobject for _, dtype in headers.values())
        hint = " (objects, such as images of different sizes, are not read)" if has_objects else ""
        got = ", ".join(f"{name} {shape}".strip() for name, (shape, _) in headers.items()) or "none"
        raise ValueError(
            f"expected an array [n, height, width] or [n, height, width, channels] in {shorten(file.name)}; "
            f"got {shorten(got, 100)}{hint}"
        )
    return images


def _has_images(header: Header) -> bool:
    return len(header[0]) in (3, 4)


def _headers(file: Path) -> dict[str, Header]:
    try:
        return read_headers(file)
    except Exception as error:  # as in `_load`
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> ValueError:
    problem = shorten(error, 150) if isinstance(error, (ValueError, OSError)) else describe_error(error)
    return ValueError(f"expected an .npz or .npy file of images in {shorten(file.name)}; got {problem}")
