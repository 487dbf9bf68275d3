"""Decoded images on disk, memory-mapped: every data set is decoded once, and may be larger than memory.

An entry is a directory named by a hash of what its pixels depend on: the source with its version, sizes and times of
modification, the framing, and the version of Pillow, which decodes. It also holds the labels of the images, if any, in
the same order, without those of images that are left out. An entry is filled under a temporary name and renamed at the
end, so that every visible entry is complete; a lock makes a second process that wants the same entry wait for it. An
entry is compared with its hashes whenever a program opens it (see `data.images.cache_entry`); a damaged one is made
again.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np
import PIL
import platformdirs
from tqdm import tqdm

from realnvp_jax.data.images.cache_entry import (
    Decoded,
    flush,
    open_entry,
    read_description,
    write_bytes,
    write_description,
    write_json,
)
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.source import Source
from realnvp_jax.text import shorten

_LAYOUT = 3  # version of the layout of an entry; part of every key
_CHUNK_BYTES = 64 * 2**20  # decoded images between two updates of the progress
_KEY = r"[0-9a-f]{32}"


def default_cache_dir() -> Path:
    """The user's cache directory of this package."""
    return platformdirs.user_cache_path("realnvp_jax") / "images"


def decode_once(source: Source, framing: Framing, directory: Path, *, strict: bool = False) -> Decoded:
    """The decoded images of a source, from the cache; images that are not in the cache are decoded into it first.

    Args:
      source: where the images come from.
      framing: how they are cropped and resized.
      directory: directory of the cache.
      strict: refuse a source with an unusable picture, instead of leaving the picture out.

    Raises:
      ValueError: no picture can be used, or one cannot and `strict` is set; the source cannot be read, or the cache
        cannot be written. Incomplete entries are removed.
    """
    key = _key(source, framing)
    decoded = open_entry(directory / key)
    if decoded is None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory / f"{key}.lock"):
                decoded = open_entry(directory / key)  # another process may have filled it meanwhile
                if decoded is None:
                    _fill(source, framing, directory, key)
                    decoded = open_entry(directory / key, is_new=True)
        except OSError as error:
            need = source.num * math.prod(framing.framed_shape)
            raise ValueError(
                f"expected to write {need / 1e6:,.1f} MB of decoded images into {shorten(directory, 150)}; "
                f"got {shorten(error.strerror or error)}: free some space, or set dataset.cache_dir elsewhere"
            ) from None
    if decoded is None:
        raise ValueError(f"expected a readable cache entry {shorten(directory / key, 200)}; got none after writing it")
    if decoded.left_out and strict:
        name, reason = next(iter(decoded.left_out.items()))
        raise ValueError(
            f"expected only usable pictures in {shorten(source.title, 150)}, as dataset.strict asks; "
            f"got {len(decoded.left_out)} others, the first {shorten(name)}: {reason}"
        )
    return decoded


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """One entry of the cache: its source, number of images, and size in bytes; incomplete entries have no title."""

    title: str
    num: int
    shape: tuple[int, ...]
    num_bytes: int


def list_cache(directory: Path) -> list[CacheEntry]:
    """The entries of a cache, incomplete ones last: those being written, and those of runs that were killed."""
    entries = []
    for path in sorted(directory.glob("*")):
        if path.is_dir() and re.fullmatch(rf"{_KEY}(\.partial)?", path.name):
            size = sum(file.stat().st_size for file in path.iterdir())
            entry = read_description(path)
            if entry is None or path.suffix:
                entries.append(CacheEntry("", 0, (), size))
            else:
                entries.append(CacheEntry(entry["title"], entry["num"], tuple(entry["shape"]), size))
    return sorted(entries, key=lambda entry: not entry.title)


def clear_cache(directory: Path) -> int:
    """Remove all entries except those that are being written, and return how many were removed.

    Runs that use one of them can continue: the system keeps mapped files until they are closed.
    """
    keys = {match[0] for path in directory.glob("*") if (match := re.match(_KEY, path.name))}
    count = 0
    for key in keys:
        with contextlib.suppress(filelock.Timeout), filelock.FileLock(directory / f"{key}.lock", timeout=0):
            for path in (directory / key, directory / f"{key}.partial"):
                if path.is_dir():
                    shutil.rmtree(path)
                    count += 1
            (directory / f"{key}.lock").unlink(missing_ok=True)
    return count


def _key(source: Source, framing: Framing) -> str:
    everything = {
        "layout": _LAYOUT,
        "pillow": PIL.__version__,
        "source": source.identity,
        "framing": dataclasses.asdict(framing),
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:32]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of an entry; the system releases it if this process is killed."""
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print("another process is decoding these images; waiting for it", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fill(source: Source, framing: Framing, directory: Path, key: str) -> None:
    """Decode everything into a temporary directory, and rename it."""
    for stale in (directory / key, directory / f"{key}.partial"):  # damaged, or left by a process that was killed
        if stale.exists():
            shutil.rmtree(stale)
    need, free = source.num * math.prod(framing.framed_shape), shutil.disk_usage(directory).free
    if need > free:
        raise OSError(28, f"only {free / 1e6:,.0f} MB free")
    partial = directory / f"{key}.partial"
    partial.mkdir()
    try:
        _write(source, framing, partial)
        partial.rename(directory / key)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _write(source: Source, framing: Framing, partial: Path) -> None:
    left_out: dict[str, str] = {}
    kept: list[int] = []
    labels: list[int] = []
    low, high = 255, 0
    digest = hashlib.sha256()

    def read(i: int) -> tuple[np.ndarray, int] | BadPictureError:
        try:
            return source.read(framing, i), -1 if isinstance(source.labels, str) else source.labels.number(i)
        except BadPictureError as error:
            return error
        except OSError as error:
            raise ValueError(
                f"expected to read {shorten(source.title, 150)}; got {shorten(error.strerror or error, 60)} at "
                f"{shorten(_name(source, i))}: try again"
            ) from None

    chunk_size = max(1, min(1000, _CHUNK_BYTES // math.prod(framing.framed_shape)))
    bar = tqdm(total=source.num, desc=f"decoding {source.title}", unit="image", disable=None, leave=False)
    with (
        warnings.catch_warnings(),
        bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
        (partial / "images.bin").open("wb") as file,
    ):
        warnings.simplefilter("ignore")  # Pillow warns of doubtful metadata and large pictures
        for start in range(0, source.num, chunk_size):
            chunk = range(start, min(start + chunk_size, source.num))
            for i, found in zip(chunk, pool.map(read, chunk), strict=True):
                if isinstance(found, BadPictureError):
                    left_out[_name(source, i)] = str(found)
                    continue
                image, label = found
                kept.append(i)
                labels.append(label)
                low, high = min(low, int(image.min())), max(high, int(image.max()))
                content = image.tobytes()
                digest.update(content)
                file.write(content)
            bar.update(len(chunk))
        flush(file)
    if not kept:
        example = next(iter(left_out.items()), None)
        reason = f"; the first left out is {shorten(example[0])}: {example[1]}" if example else ""
        raise ValueError(f"expected usable pictures in {shorten(source.title, 100)}; got none of {source.num}{reason}")
    hashes = {"images.bin": digest.hexdigest()}
    if source.files is not None:
        hashes["files.json"] = write_json(partial / "files.json", [source.files[i] for i in kept])
    classes = () if isinstance(source.labels, str) else source.labels.classes
    if classes:
        hashes["labels.bin"] = write_bytes(partial / "labels.bin", np.array(labels, np.int32).tobytes())
    entry = {
        "title": source.title,
        "num": len(kept),
        "shape": framing.framed_shape,
        "levels": (low, high),
        "classes": classes,
        "left_out": left_out,
        "identity": source.identity,
        "framing": dataclasses.asdict(framing),
    }
    write_description(partial, entry, hashes)


def _name(source: Source, i: int) -> str:
    return source.files[i] if source.files is not None else f"{source.title}, number {i}"
