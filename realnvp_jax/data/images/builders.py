"""Builders of TFDS data sets that do not need TensorFlow.

Each has the name, version, features, splits and keys of the TFDS builder that it derives from, so that
`tfds.data_source(name)` opens what it prepares. If TFDS's builder uses TensorFlow to encode arrays or read files, a
reader in this module replaces it and stores PNG files; other builders only get archives opened without TensorFlow.
"""

import functools
import gzip
import io
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_Examples = Iterator[tuple[int, dict[str, Any]]]
_Urls = dict[str, str]


@functools.cache
def builder_class(name: str) -> Any:
    """The builder of a data set that TFDS knows."""
    import tensorflow_datasets as tfds

    original: Any = tfds.builder_cls(name)

    def split_generators(self, dl_manager) -> Any:
        if name in _RECIPES:
            return _RECIPES[name].read(self, dl_manager)
        return original._split_generators(self, _DownloadManager(dl_manager))

    members = {
        "name": name,
        "pkg_dir_path": original.pkg_dir_path,  # where its README, citation and checksums are
        "__module__": original.__module__,
        "_split_generators": split_generators,
    }
    return type(original.__name__, (original,), members, skip_registration=True)


def archives(builder: Any) -> dict[str, str]:
    """Names of the original files that a builder needs, as TFDS looks for them in manual_dir, and their addresses."""
    if builder.name in _RECIPES:
        return {url.rsplit("/", 1)[-1]: url for url in _RECIPES[builder.name].urls(builder).values()}
    config = builder.builder_config.name if builder.builder_config else ""
    infos = builder.url_infos or {}
    of_config = {url: info for url, info in infos.items() if config and config in url} or infos
    return {info.filename or url.rsplit("/", 1)[-1]: url for url, info in of_config.items()}


def png(image: UInt8[np.ndarray, "height width channels"]) -> bytes:
    """An image with one or three channels as the bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, format="PNG")
    return file.getvalue()


class _DownloadManager:
    """TFDS's download manager, but the standard library reads the archives."""

    def __init__(self, manager: Any):
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    def iter_archive(self, path: Any) -> Iterator[tuple[str, Any]]:
        """(name, file object) of every file in a zip or tar archive."""
        if zipfile.is_zipfile(path):
            archive = zipfile.ZipFile(path)  # stays open as long as its members are in use
            for entry in archive.infolist():
                if not entry.is_dir():
                    yield entry.filename, _ZipMember(archive, entry.filename)
            return
        with tarfile.open(path) as archive:
            for entry in archive:
                file = archive.extractfile(entry)
                if file is not None:
                    yield entry.name, io.BytesIO(file.read())


class _ZipMember(NamedTuple):
    """A file in a zip archive, decompressed when it is read."""

    archive: zipfile.ZipFile
    name: str

    def read(self) -> bytes:
        return self.archive.read(self.name)


def _cifar10_urls(builder) -> _Urls:
    return {"all": "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"}


def _read_cifar10(builder, dl_manager) -> dict[str, _Examples]:
    """Records of a label and 3,072 bytes: the red, the green and the blue plane."""
    with tarfile.open(dl_manager.download(_cifar10_urls(builder)["all"])) as archive:
        content = {Path(entry.name).name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}  # pyright: ignore[reportOptionalMemberAccess]
    builder.info.features["label"].names = content["batches.meta.txt"].decode().split()

    def examples(prefix: str, files: list[str]) -> _Examples:
        i = 0
        for file in files:
            records = np.frombuffer(content[file], np.uint8)
            if records.size % 3073:
                raise ValueError(f"expected records of 3073 bytes in {file}; got {records.size} bytes")
            for record in records.reshape(-1, 3073):
                image = record[1:].reshape(3, 32, 32).transpose(1, 2, 0)
                yield i, {"id": f"{prefix}_{i:05d}", "image": png(image), "label": int(record[0])}
                i += 1

    train = [f"data_batch_{k}.bin" for k in range(1, 6)]
    return {"train": examples("train", train), "test": examples("test", ["test_batch.bin"])}


def _mnist_urls(builder) -> _Urls:
    parts = [f"{part}-{what}" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
    return {part: f"{builder.URL}{part}-ubyte.gz" for part in parts}


def _read_mnist(builder, dl_manager) -> dict[str, _Examples]:
    """IDX files: big-endian sizes, then bytes."""
    files = dl_manager.download(_mnist_urls(builder))

    def examples(part: str) -> _Examples:
        images = _read_idx(Path(files[f"{part}-images-idx3"]), axes=3)
        labels = _read_idx(Path(files[f"{part}-labels-idx1"]), axes=1)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": png(image[..., None]), "label": int(label)}

    return {"train": examples("train"), "test": examples("t10k")}


def _read_idx(path: Path, axes: int) -> np.ndarray:
    content = gzip.decompress(path.read_bytes())
    magic, *shape = struct.unpack_from(f">{1 + axes}i", content)
    if magic != 0x800 + axes:
        raise ValueError(f"expected an IDX file of bytes with {axes} axes in {path.name}; got magic number {magic}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _svhn_cropped_urls(builder) -> _Urls:
    return {part: f"http://ufldl.stanford.edu/housenumbers/{part}_32x32.mat" for part in ("train", "test", "extra")}


def _read_svhn_cropped(builder, dl_manager) -> dict[str, _Examples]:
    """MATLAB files: X [height, width, channels, n] and y [n, 1], where 10 stands for the digit 0."""
    files = dl_manager.download(_svhn_cropped_urls(builder))

    def examples(split: str) -> _Examples:
        from scipy.io import loadmat

        content = loadmat(files[split])
        for i, label in enumerate(content["y"].ravel()):
            yield i, {"id": f"{split}_{i:06d}", "image": png(content["X"][..., i]), "label": int(label) % 10}

    return {split: examples(split) for split in files}


def _lsun_urls(builder) -> _Urls:
    category = builder.builder_config.name
    if category in LSUN_SCENES:
        parts = {"train": "train", "validation": "val"}
        return {s: f"http://dl.yf.io/lsun/scenes/{category}_{part}_lmdb.zip" for s, part in parts.items()}
    return {"train": f"http://dl.yf.io/lsun/objects/{category}.zip"}


def _read_lsun(builder, dl_manager) -> dict[str, _Examples]:
    """LMDB databases of encoded pictures, which are stored unchanged (the archives hold WebP)."""
    lmdb = _import_lmdb()
    files = dl_manager.download(_lsun_urls(builder))
    data_dir = Path(builder.data_dir).parents[2]  # its disk has room for the database, which is as large as the archive

    def examples(file: Any) -> _Examples:
        with tempfile.TemporaryDirectory(dir=data_dir, prefix="lsun_") as folder, zipfile.ZipFile(file) as archive:
            (name,) = (name for name in archive.namelist() if Path(name).name == "data.mdb")
            database = str(Path(archive.extract(name, folder)).parent)
            with lmdb.open(database, readonly=True, lock=False) as environment, environment.begin() as content:
                for i, (key, encoded) in enumerate(content.cursor()):
                    yield i, {"id": key.decode(), "image": bytes(encoded)}

    return {split: examples(file) for split, file in files.items()}


def _import_lmdb() -> Any:
    try:
        import lmdb
    except ImportError:
        raise ValueError(
            "expected the package lmdb, which reads the databases that LSUN is published in; got none: pip install lmdb"
        ) from None
    return lmdb


LSUN_SCENES = (
    "classroom",
    "bedroom",
    "bridge",
    "church_outdoor",
    "conference_room",
    "dining_room",
    "kitchen",
    "living_room",
    "restaurant",
    "tower",
)


class _Recipe(NamedTuple):
    """How to find and read the original files of a data set; both take the builder, `read` also a download manager."""

    urls: Callable[[Any], _Urls]
    read: Callable[[Any, Any], dict[str, _Examples]]


_RECIPES = {
    "cifar10": _Recipe(_cifar10_urls, _read_cifar10),
    "mnist": _Recipe(_mnist_urls, _read_mnist),
    "fashion_mnist": _Recipe(_mnist_urls, _read_mnist),
    "svhn_cropped": _Recipe(_svhn_cropped_urls, _read_svhn_cropped),
    "lsun": _Recipe(_lsun_urls, _read_lsun),
}
