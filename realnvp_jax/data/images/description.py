"""A description of a set of images: counts, sizes, levels, moments, duplicates, simple codes, and a contact sheet."""

import contextlib
import dataclasses
import hashlib
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from realnvp_jax.data.images.baselines import file_bits, histogram_bits
from realnvp_jax.data.images.cache_entry import Decoded
from realnvp_jax.data.images.framed import FramedImages, load_split, open_split
from realnvp_jax.data.images.framing import BadPictureError, Framing, NoFraming
from realnvp_jax.data.images.source import Source
from realnvp_jax.data.named import find_images
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.registry import registered
from realnvp_jax.text import plus_minus, shorten

_CHUNK = 1000  # images at a time
_MOST_LEFT_OUT = 20  # the most unusable files to list
_NUM_SIZES = 50  # images whose sizes are compared
_NUM_FILES = 1000  # images to code as PNG and WebP


@dataclasses.dataclass(frozen=True)
class SplitDescription:
    """A split of images.

    Attributes:
      name: name of the split.
      num: number of images.
      levels: (number of distinct pixel values, the lowest, the highest).
      mean: mean of each channel, with the highest level as 1.
      deviation: standard deviation of each channel, on the same scale.
      repeated: number of images that equal an earlier image of the split.
      in_first: number of images that equal an image of the first split, which is usually "train".
      left_out: unusable files, each with the reason.
      labels: number of images of each class; {} without labels.
    """

    name: str
    num: int
    levels: tuple[int, int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    repeated: int
    in_first: int
    left_out: dict[str, str]
    labels: dict[str, int]


@dataclasses.dataclass(frozen=True, eq=False)
class Description:
    """A set of images.

    Attributes:
      title: its name or path.
      shape: (height, width, channels).
      levels: number of values that a pixel can take.
      splits: its splits, the training split first.
      baselines: name of each simple code, with the mean and standard error of its bits/dim and the number of images.
      sheet: random images of the first split, for the contact sheet.
      is_resized: whether the pictures had other sizes and were cropped and resized.
    """

    title: str
    shape: tuple[int, ...]
    levels: int
    splits: tuple[SplitDescription, ...]
    baselines: dict[str, tuple[float, float | None, int]]
    sheet: np.ndarray
    is_resized: bool

    def __str__(self) -> str:
        """The description as a table."""
        height, width, channels = self.shape
        resized = " (cropped and resized)" if self.is_resized else ""
        title = f"{self.title}: {height}x{width} pixels{resized}, {channels} channel(s), {self.levels} levels"
        lines = [_printable(title), ""]
        rows = [["split", "images", "levels used", "mean", "deviation", "repeated", f"in {self.splits[0].name}"]]
        for split in self.splits:
            count, low, high = split.levels
            rows.append(
                [
                    split.name,
                    f"{split.num:,}",
                    f"{count}, from {low} to {high}",
                    " ".join(f"{value:.4f}" for value in split.mean),
                    " ".join(f"{value:.4f}" for value in split.deviation),
                    f"{split.repeated:,}",
                    "" if split is self.splits[0] else f"{split.in_first:,}",
                ]
            )
        lines += aligned(rows)
        for split in self.splits:
            for file, reason in list(split.left_out.items())[:_MOST_LEFT_OUT]:
                lines.append(f"left out of {split.name}: {shorten(file, 100)}: {reason}")
            if len(split.left_out) > _MOST_LEFT_OUT:
                lines.append(f"left out of {split.name}: {len(split.left_out) - _MOST_LEFT_OUT} others")
        for split in self.splits:
            if split.labels:
                counts = ", ".join(f"{name} {num:,}" for name, num in split.labels.items())
                lines.append(f"labels of {split.name}, {len(split.labels)} classes: {shorten(counts, 200)}")
        lines += ["", "bits/dim of simple codes"]
        codes = [
            [name, plus_minus(mean, error), f"{num:,} images" if num else ""]
            for name, (mean, error, num) in self.baselines.items()
        ]
        return "\n".join([*lines, *aligned(codes)])


def image_data(name_or_path: str, **options: Any) -> FramedImages:
    """The images of a named data set, a folder, an .npz or .npy file, or a directory that TFDS has prepared.

    A folder takes precedence over a data set of the same name, unless it is registered and needs no path (digits).

    Args:
      name_or_path: the name or the path.
      options: other keys of `config.dataset`.
    """
    part, path = registered("dataset").get(name_or_path), Path(name_or_path).expanduser()
    if part is not None and not hasattr(part, "path"):
        return find_images({"name": name_or_path, **options})
    if path.is_dir():
        name = "tfds" if (path / "dataset_info.json").is_file() else "folder"
    elif path.suffix in (".npz", ".npy"):
        name = "npz"
    else:
        return find_images({"name": name_or_path, **options})
    return find_images({"name": name, "path": name_or_path, **options})


def describe(data: FramedImages, shape: tuple[int, ...] | None = None, title: str = "") -> Description:
    """Describe a set of images.

    Args:
      data: the images.
      shape: (height, width, channels) to frame them to; None for their own shape, or (32, 32, 3) if sizes vary. If this
              is not their own shape and `data.crop` is "none", the centre is cropped.
      title: what to call them.

    Raises:
      ValueError: the images do not exist.
    """
    names = sorted(data.dataset.find_splits(), key=lambda name: ("train" not in name, "test" in name, name))
    own = _own_shape(open_split(data.dataset, names[0]))
    shape = shape or own or (32, 32, 3)
    if shape != own and data.crop == "none":
        data = dataclasses.replace(data, crop="centre")
    framing: Framing = data.framing(shape)
    levels = 2**data.num_bits if data.num_bits else data.dataset.levels
    decoded = {name: load_split(data, name, framing) for name in names}
    splits, first = [], set()
    for name, split in decoded.items():
        described, hashes = _describe_split(name, split, levels, first)
        first = first or hashes
        splits.append(described)
    everything = list(decoded.values())
    if len(everything) > 1:
        train, test = everything[0].images, (decoded["test"] if "test" in decoded else everything[-1]).images
    else:
        cut = max(len(everything[0].images) * 4 // 5, 1)
        train, test = everything[0].images[:cut], everything[0].images[cut:]
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(train))[:100]
    return Description(
        title or data.dataset.title,
        framing.framed_shape,
        levels,
        tuple(splits),
        _baselines(train, test, levels) if len(test) > 1 else {"uniform": (math.log2(levels), None, 0)},
        np.asarray(train[np.sort(chosen)]),
        shape != own,
    )


def _own_shape(source: Source) -> tuple[int, ...] | None:
    """The common shape of the images, judging by the first ones, or None if their shapes differ."""
    if source.shape is not None:
        return source.shape
    shapes = set()
    for i in range(min(source.num, _NUM_SIZES)):
        with contextlib.suppress(BadPictureError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of doubtful metadata and large pictures
            shapes.add(source.read(NoFraming((1, 1, 3)), i).shape)
    return shapes.pop() if len(shapes) == 1 else None


def _describe_split(name: str, split: Decoded, levels: int, first: set[bytes]) -> tuple[SplitDescription, set[bytes]]:
    channels = split.images.shape[3]
    counts = np.zeros((channels, 256), np.int64)
    hashes: set[bytes] = set()
    in_first = 0
    for images in _chunks(split.images, name):
        for channel in range(channels):
            counts[channel] += np.bincount(images[..., channel].ravel(), minlength=256)
        for image in images:
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            in_first += digest in first
            hashes.add(digest)
    share = counts / counts.sum(1, keepdims=True)
    values = np.arange(256) / (levels - 1)
    mean = share @ values
    deviation = np.sqrt(np.maximum(share @ values**2 - mean**2, 0))
    used = np.flatnonzero(counts.sum(0))
    described = SplitDescription(
        name,
        len(split.images),
        (len(used), int(used[0]), int(used[-1])),
        tuple(map(float, mean)),
        tuple(map(float, deviation)),
        len(split.images) - len(hashes),
        in_first,
        split.left_out,
        {name: int((split.labels == i).sum()) for i, name in enumerate(split.classes)},
    )
    return described, hashes


def _chunks(images: np.ndarray, name: str) -> Iterator[np.ndarray]:
    with tqdm(total=len(images), desc=f"looking at {name}", unit="image", disable=None, leave=False) as bar:
        for start in range(0, len(images), _CHUNK):
            chunk = images[start : start + _CHUNK]
            yield chunk
            bar.update(len(chunk))


def _baselines(train: np.ndarray, test: np.ndarray, levels: int) -> dict[str, tuple[float, float | None, int]]:
    histograms = histogram_bits(train, test, levels)
    codes = {
        f"uniform over {levels} levels": (math.log2(levels), None, 0),
        "histogram of each pixel and channel": (*mean_and_standard_error(histograms), len(test)),
    }
    if test.shape[3] in (1, 3):
        some = test[np.sort(np.random.default_rng(0).permutation(len(test))[:_NUM_FILES])]
        codes["PNG, with headers"] = (*mean_and_standard_error(file_bits(some, "PNG")), len(some))
        codes["lossless WebP, with headers"] = (*mean_and_standard_error(file_bits(some, "WebP")), len(some))
    return codes


def _printable(text: str) -> str:
    """A file name without line breaks, control characters and invalid Unicode."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def aligned(rows: list[list[str]]) -> list[str]:
    """One line per row, with the cells aligned in columns; the first row is the heading, if there is one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
