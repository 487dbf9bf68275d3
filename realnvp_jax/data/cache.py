"""Decoded images on disk, memory-mapped: every data set is decoded once, and may be larger than memory.

An entry is a directory named by a hash of what its pixels depend on: the source with its version, sizes and times of
change, and the framing. It is filled under another name and renamed when it is complete, so that an entry that is
there is whole; a lock lets a second process that wants the same entry wait for it.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np
import platformdirs
from jaxtyping import UInt8
from tqdm import tqdm

from realnvp_jax.data.framing import BadPictureError, Framing
from realnvp_jax.data.quote import quote
from realnvp_jax.data.source import Source

_LAYOUT = 1  # of an entry; part of every key
_CHUNK = 512  # images between two writes


@dataclasses.dataclass(frozen=True)
class Decoded:
    """A source's images, decoded and framed.

    Attributes:
      images: [n, height, width, channels], mapped from the file.
      levels: lowest and highest pixel value.
      files: names of the images, if they have any.
      left_out: names of pictures that could not be used, each with the reason.
    """

    images: UInt8[np.ndarray, "n height width channels"]
    levels: tuple[int, int]
    files: tuple[str, ...] | None
    left_out: dict[str, str]


def default_cache_dir() -> Path:
    """The user's cache directory of this package."""
    return platformdirs.user_cache_path("realnvp_jax") / "images"


def decode_once(source: Source, framing: Framing, directory: Path, *, strict: bool = False) -> Decoded:
    """The decoded images of a source, from the cache, which is filled first if they are not there.

    Args:
      source: where the images come from.
      framing: what is cut from them.
      directory: of the cache.
      strict: refuse a source in which a picture cannot be used, instead of leaving it out.

    Raises:
      ValueError: a picture cannot be used and `strict`, or none can; the cache cannot be written. An entry that is
        not complete is removed.
    """
    key = _key(source, framing)
    decoded = _open(directory / key)
    if decoded is None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with _locked(directory / f"{key}.lock"):
                decoded = _open(directory / key)  # another process may have filled it meanwhile
                if decoded is None:
                    _fill(source, framing, directory, key)
                    decoded = _open(directory / key)
        except OSError as error:
            need = source.num * math.prod(framing.framed_shape)
            raise ValueError(
                f"expected to write {need / 1e6:,.0f} MB of decoded images into {quote(directory, 150)}; got "
                f"{quote(error.strerror or error, 60)}: free some space, or set dataset.cache_dir to another directory"
            ) from None
    if decoded is None:
        raise ValueError(f"expected a readable cache entry {quote(directory / key, 200)}; got none after writing it")
    if decoded.left_out and strict:
        name, reason = next(iter(decoded.left_out.items()))
        raise ValueError(
            f"expected only pictures that can be used in {quote(source.title, 150)}, as dataset.strict asks; "
            f"got {len(decoded.left_out)} others, the first {quote(name)}: {reason}"
        )
    return decoded


@dataclasses.dataclass(frozen=True)
class CacheEntry:
    """What one entry of the cache holds: its source, number of images, and size in bytes."""

    title: str
    num: int
    shape: tuple[int, ...]
    num_bytes: int


def list_cache(directory: Path) -> list[CacheEntry]:
    """The complete entries of a cache."""
    entries = []
    for path in sorted(directory.glob("*/entry.json")):
        if not path.parent.name.endswith(".partial"):
            entry = json.loads(path.read_text())
            size = sum(file.stat().st_size for file in path.parent.iterdir())
            entries.append(CacheEntry(entry["title"], entry["num"], tuple(entry["shape"]), size))
    return entries


def clear_cache(directory: Path) -> int:
    """Remove all entries, complete or not, and return how many complete ones there were.

    A run that uses one goes on: the system keeps mapped files until they are closed.
    """
    count = len(list_cache(directory))
    for path in list(directory.glob("*")):
        if re.fullmatch(r"[0-9a-f]{32}(\.partial)?", path.name):
            shutil.rmtree(path)
        elif re.fullmatch(r"[0-9a-f]{32}\.lock", path.name):
            path.unlink()
    return count


def _key(source: Source, framing: Framing) -> str:
    everything = {"layout": _LAYOUT, "source": source.identity, "framing": dataclasses.asdict(framing)}
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:32]


def _open(path: Path) -> Decoded | None:
    """The entry, or None if there is none that is whole."""
    try:
        entry = json.loads((path / "entry.json").read_text())
        shape = (entry["num"], *entry["shape"])
        if (path / "images.bin").stat().st_size != math.prod(shape):
            return None
        images = np.asarray(np.memmap(path / "images.bin", np.uint8, "r", shape=shape))
        files = tuple(json.loads((path / "files.json").read_text())) if entry["has_files"] else None
    except (OSError, json.JSONDecodeError, KeyError):
        return None
    return Decoded(images, tuple(entry["levels"]), files, entry["left_out"])


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
    """Decode everything into a directory of another name, and rename it."""
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
    low, high = 255, 0

    def read(i: int) -> np.ndarray | BadPictureError:
        try:
            return source.read(framing, i)
        except BadPictureError as error:
            return error

    bar = tqdm(total=source.num, desc=f"decoding {source.title}", unit="image", disable=None, leave=False)
    with bar, ThreadPoolExecutor(os.cpu_count()) as pool, (partial / "images.bin").open("wb") as file:
        for start in range(0, source.num, _CHUNK):
            chunk = range(start, min(start + _CHUNK, source.num))
            images = []
            for i, image in zip(chunk, pool.map(read, chunk), strict=True):
                if isinstance(image, BadPictureError):
                    name = source.files[i] if source.files is not None else f"number {i}"
                    left_out[name] = str(image)
                else:
                    kept.append(i)
                    images.append(image)
            if images:
                block = np.stack(images)
                low, high = min(low, int(block.min())), max(high, int(block.max()))
                file.write(block.tobytes())
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    if not kept:
        example = next(iter(left_out.items()), None)
        reason = f"; the first left out is {quote(example[0])}: {example[1]}" if example else ""
        raise ValueError(
            f"expected pictures that can be used in {quote(source.title, 100)}; got none of {source.num}{reason}"
        )
    if source.files is not None:
        _write_json(partial / "files.json", [source.files[i] for i in kept])
    entry = {
        "title": source.title,
        "num": len(kept),
        "shape": framing.framed_shape,
        "levels": (low, high),
        "has_files": source.files is not None,
        "left_out": left_out,
        "identity": source.identity,
        "framing": dataclasses.asdict(framing),
    }
    _write_json(partial / "entry.json", entry)


def _write_json(path: Path, value: object) -> None:
    with path.open("w") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
