"""A folder of pictures: PNG, JPEG, WebP, BMP and TIFF files, recursively."""

import dataclasses
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.source import Labels, Source
from realnvp_jax.registry import register
from realnvp_jax.text import shorten

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


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
    pictures, the first is read. If every picture lies in a subfolder of the folder (or of the split's folder), the
    first subfolder on the path to a picture is its class; one picture outside of any subfolder leaves all without
    labels.

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
    if not found:
        raise ValueError(
            f"expected pictures ({', '.join(EXTENSIONS)}) in {shorten(root, 150)} or in folders in it; "
            f"got none, and {others} other files"
        )
    found.sort(key=lambda file: hashlib.sha256(f"{seed}:{file[0]}".encode("utf-8", "surrogateescape")).digest())
    paths = [root / file[0] for file in found]

    def read(framing: Framing, i: int) -> np.ndarray:
        try:
            encoded = paths[i].read_bytes()
        except (FileNotFoundError, PermissionError) as error:
            raise BadPictureError(error.strerror) from None
        return framing.decode(encoded, upright=True)

    listing = hashlib.sha256(repr(found).encode()).hexdigest()
    identity = {"kind": "folder", "folder": str(root.resolve()), "files": listing}
    prefix = "" if split == "all" else f"{split}/"
    title = str(root).encode("utf-8", "backslashreplace").decode()
    names = [file[0] for file in found]
    return Source(title, identity, len(paths), read, [prefix + name for name in names], labels=_labels(names))


def _labels(names: list[str]) -> Labels | str:
    """The class of each picture: the first folder in its name."""
    for name in names:
        if "/" not in name:
            return f"a picture outside of any subfolder, {shorten(name)}"
    folders = [name.partition("/")[0] for name in names]
    classes = tuple(sorted(set(folders)))
    numbers = {folder: i for i, folder in enumerate(classes)}
    return Labels(classes, lambda i: numbers[folders[i]])


def _pictures(root: Path) -> tuple[list[tuple[str, int, int, int]], int]:
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
            path = Path(directory, name)
            times = _times(path)
            if name.startswith(".") or path.suffix.lower() not in EXTENSIONS or times is None:
                others += not name.startswith(".")
                continue
            found.append((path.relative_to(root).as_posix(), *times))
    return found, others


def _times(path: Path) -> tuple[int, int, int] | None:
    """Size and times of modification of a file; zeros for a broken link, None for a non-file such as a pipe."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns) if stat.S_ISREG(status.st_mode) else None


def _refuse(error: OSError) -> None:
    raise ValueError(
        f"expected a readable folder in {shorten(error.filename, 200)}; got {shorten(error.strerror)}"
    ) from None
