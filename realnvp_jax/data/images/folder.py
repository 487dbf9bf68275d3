"""A folder of pictures: PNG, JPEG, WebP, BMP and TIFF files, recursively."""

import dataclasses
import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.images.framing import BadPictureError, Framing, too_large
from realnvp_jax.data.images.source import Labels, Source
from realnvp_jax.data.limits import ENCODED, MOST_PICTURE_BYTES
from realnvp_jax.registry import register
from realnvp_jax.text import shorten

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
_OTHERS = (
    *(".gif", ".avif", ".heic", ".heif", ".jp2", ".jxl", ".jfif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico"),
    *(".psd", ".dng", ".cr2", ".nef", ".arw", ".svg", ".exr", ".hdr"),
)  # of pictures that are not read
_File = tuple[str, int, int, int]  # name within the folder, size, times of modification
_UNUSABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENXIO}


@register("dataset", "folder")
@dataclasses.dataclass(frozen=True)
class Folder(DataSet):
    """The pictures of a folder; see `folder_source`.

    Attributes:
      path: the folder.
      seed: seed of the order of the pictures.
    """

    path: str = ""
    seed: int = 0
    split_names: ClassVar[tuple[str, ...]] = ()

    def find_splits(self) -> Sequence[str]:
        """The whole folder; each of its subfolders is a split as well."""
        return ("all",)

    def load(self, split: str) -> Source:
        """The pictures of the folder, or of a subfolder."""
        return folder_source(self.path, split, self.seed)


def folder_source(path: str, split: str, seed: int) -> Source:
    """The pictures of a folder, in an order that `seed` fixes.

    Pictures are sorted by a hash of the seed and the file's name within the folder, so that files that are added later
    do not change the order of the others. Hidden files are skipped and links are followed; of a file with several
    pictures, the first is read. Pictures in other formats (GIF, for example), broken links, and devices and pipes that
    are named like pictures count as unusable pictures. If every picture lies in a subfolder of the folder (or of the
    split's folder), the first subfolder on the path to a picture is its class; one picture outside of any subfolder
    leaves all without labels.

    Args:
      path: the folder.
      split: "all", or the name of a subfolder.
      seed: seed of the order.

    Raises:
      ValueError: there is no such folder, or no picture in it.
    """
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise ValueError(
            f"expected a folder of pictures in dataset.path; got {shorten(path, 200)}, which is not a folder"
        )
    if split != "all":
        root = root / split
        if not root.is_dir():
            folders = next(os.walk(root.parent, onerror=_refuse))[1]
            folders = sorted(name for name in folders if not name.startswith("."))
            raise ValueError(
                f"expected the split 'all' of a folder, or one of its subfolders ("
                f"{shorten(', '.join(folders) or 'none', 100)}), or a part such as all[:80%]; got {shorten(split)}"
            )
    found, others = _pictures(root)
    if not any(_is_picture(name) for name, *_ in found):
        raise ValueError(
            f"expected pictures ({', '.join(EXTENSIONS)}) in {shorten(root, 150)} or in folders in it; "
            f"got none, and {others + len(found)} other files"
        )
    found.sort(key=lambda file: hashlib.sha256(f"{seed}:{file[0]}".encode("utf-8", "surrogateescape")).digest())
    paths = [root / file[0] for file in found]

    def read(framing: Framing, i: int) -> np.ndarray:
        return read_picture(paths[i], framing)

    listing = hashlib.sha256(repr(found).encode()).hexdigest()
    identity = {"kind": "folder", "folder": str(root.resolve()), "files": listing}
    prefix = "" if split == "all" else f"{split}/"
    title = str(root).encode("utf-8", "backslashreplace").decode()
    names = [file[0] for file in found]
    return Source(title, identity, len(paths), read, [prefix + name for name in names], labels=_labels(found))


def read_picture(path: Path, framing: Framing) -> np.ndarray:
    """The picture in a file, upright and framed.

    All threads together hold 256 MiB of encoded pictures at a time.

    Raises:
      BadPictureError: the picture cannot be used, or there is no such file, or no permission to read it.
      OSError: the disk or the network fails.
    """
    if not _is_picture(path.name):
        raise BadPictureError(f"a {path.suffix} file, a format that is not read: convert it to PNG")
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadPictureError("not a file, but a device, a pipe or a directory")
            if status.st_size > MOST_PICTURE_BYTES:
                raise too_large(status.st_size)
            with ENCODED.take(status.st_size):
                return framing.decode(file.read(MOST_PICTURE_BYTES + 1), upright=True)
    except OSError as error:
        if error.errno in _UNUSABLE or isinstance(error, IsADirectoryError):
            raise BadPictureError(error.strerror or str(error)) from None
        raise


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; opening a pipe would otherwise wait for somebody to write to it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def _labels(found: list[_File]) -> Labels | str:
    """The class of each picture: the first folder in its name."""
    usable = [name for name, *times in found if _is_picture(name) and any(times)]
    for name in usable:
        if "/" not in name:
            return f"a picture outside of any subfolder, {shorten(name)}"
    classes = tuple(sorted({name.partition("/")[0] for name in usable}))
    numbers = {folder: i for i, folder in enumerate(classes)}
    return Labels(classes, lambda i: numbers[found[i][0].partition("/")[0]])


def _pictures(root: Path) -> tuple[list[_File], int]:
    """(name within the folder, size, times of modification) of every picture, and the number of other files.

    Links to folders are followed, but each folder is visited only once.
    """
    found, others = [], 0
    seen = set()
    for directory, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(directory)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if name.startswith("."):
                continue
            if not name.lower().endswith((*EXTENSIONS, *_OTHERS)):
                others += 1
                continue
            path = Path(directory, name)
            found.append((path.relative_to(root).as_posix(), *_times(path)))
    return found, others


def _times(path: Path) -> tuple[int, int, int]:
    """Size and times of modification of a file; zeros for a broken link and for what is not a file, such as a pipe."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) if stat.S_ISREG(status.st_mode) else (0, 0, 0)


def _refuse(error: OSError) -> None:
    raise ValueError(
        f"expected a readable folder in {shorten(error.filename, 200)}; got {shorten(error.strerror)}"
    ) from None
