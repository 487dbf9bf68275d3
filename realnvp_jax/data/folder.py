"""A folder of pictures: PNG, JPEG, WebP, BMP and TIFF files, recursively."""

import hashlib
import os
from pathlib import Path

import numpy as np

from realnvp_jax.data.framing import BadPictureError, Framing
from realnvp_jax.data.quote import quote
from realnvp_jax.data.source import Source

EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def folder_source(path: str, split: str, seed: int) -> Source:
    """The pictures of a folder, in an order that `seed` fixes.

    The order sorts by a hash of the seed and a file's name within the folder, so that a file that is added later leaves
    the order of the others as it is. Hidden files are skipped; of a file with several pictures the first is taken.

    Args:
      path: the folder.
      split: "all", or the name of a folder in it.
      seed: of the order.

    Raises:
      ValueError: there is no such folder, or no picture in it.
    """
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise ValueError(f"expected a folder of pictures in dataset.path; got {quote(path, 200)}, which is no folder")
    if split != "all":
        root = root / split
        if not root.is_dir():
            folders = sorted(p.name for p in root.parent.iterdir() if p.is_dir() and not p.name.startswith("."))
            raise ValueError(
                f"expected the split 'all' of a folder, or one of the folders in it (there: "
                f"{quote(', '.join(folders) or 'none', 100)}), or a part such as all[:80%]; got {quote(split)}"
            )
    found, others = _pictures(root)
    if not found:
        raise ValueError(
            f"expected pictures ({', '.join(EXTENSIONS)}) in {quote(root, 150)} or in folders in it; "
            f"got none, and {others} other files"
        )
    found.sort(key=lambda file: hashlib.sha256(f"{seed}:{file[0]}".encode("utf-8", "surrogateescape")).digest())
    listing = hashlib.sha256(repr(found).encode()).hexdigest()
    names = [name for name, _, _ in found]

    def read(framing: Framing, i: int) -> np.ndarray:
        try:
            encoded = (root / names[i]).read_bytes()
        except OSError as error:
            raise BadPictureError(error.strerror or "not readable") from None
        return framing.decode(encoded, upright=True)

    return Source(str(root), {"kind": "folder", "files": listing}, len(names), read, names)


def _pictures(root: Path) -> tuple[list[tuple[str, int, int]], int]:
    """(name within the folder, size, time of change) of every picture, and the number of other files."""
    found, others = [], 0
    for directory, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(directory, name)
            if name.startswith(".") or path.suffix.lower() not in EXTENSIONS:
                others += not name.startswith(".")
                continue
            try:
                status = path.stat()
            except OSError:  # a link to nowhere: reading it says so
                found.append((path.relative_to(root).as_posix(), 0, 0))
                continue
            found.append((path.relative_to(root).as_posix(), status.st_size, status.st_mtime_ns))
    return found, others
