"""Images in a .npz or .npy file: uint8 arrays [n, height, width] or [n, height, width, channels]."""

import zipfile
from pathlib import Path

import numpy as np

from realnvp_jax.data.framing import Framing
from realnvp_jax.data.quote import quote
from realnvp_jax.data.source import Source


def array_source(path: str, split: str, seed: int) -> Source:
    """The images of an array.

    Every array of images in an .npz file is a split under its name. The array of an .npy file, and the only array of
    images in an .npz file, is the split "all", in an order that `seed` fixes. An .npy file may be larger than memory.

    Args:
      path: the file.
      split: "all", or the name of an array.
      seed: of the order of "all".

    Raises:
      ValueError: there is no such file or array, or it holds no uint8 images of one size.
    """
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise ValueError(
            f"expected an .npz or .npy file of images in dataset.path; got {quote(path, 200)}, where there is no file"
        )
    images = _load(file, split)
    order = np.random.default_rng(seed).permutation(len(images)) if split == "all" else np.arange(len(images))
    status = file.stat()
    identity = {
        "kind": "array",
        "file": str(file.resolve()),
        "size": status.st_size,
        "changed": status.st_mtime_ns,
        "split": split,
        "seed": seed if split == "all" else None,
    }

    def read(framing: Framing, i: int) -> np.ndarray:
        image = np.asarray(images[order[i]])
        return framing.frame(image if image.ndim == 3 else image[..., None])

    shape = images.shape[1:] if images.ndim == 4 else (*images.shape[1:], 1)
    return Source(file.name if split == "all" else f"{file.name}, {split}", identity, len(images), read, shape=shape)


def array_splits(path: str) -> list[str]:
    """The names of the splits of a file, as `array_source` takes them.

    Raises:
      ValueError: the file cannot be read, or there are no images in it.
    """
    file = Path(path).expanduser()
    names = [] if file.suffix == ".npy" else _image_names(file)
    return names if len(names) > 1 else ["all"]


def _load(file: Path, split: str) -> np.ndarray:
    if file.suffix == ".npy":
        if split != "all":
            raise ValueError(f"expected the split 'all' of {file.name!r}, or a part such as all[:80%]; got {split!r}")
        name = file.name
    else:
        names = _image_names(file)
        name = names[0] if split == "all" and len(names) == 1 else split
        if name not in names:
            raise ValueError(
                f"expected one of the arrays of images in {file.name!r}, {quote(', '.join(names), 150)}, as a split; "
                f"got {quote(split)}"
            )
    try:
        if file.suffix == ".npy":
            images = np.load(file, mmap_mode="r")
        else:
            with np.load(file) as archive:
                images = archive[name]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(file, error) from None
    _check(images.shape, images.dtype, name)
    return images


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(f"expected an .npz or .npy file of images in {quote(file.name)}; got {quote(error, 150)}")


def _image_names(file: Path) -> list[str]:
    """Names of the arrays with three or four axes, in an archive; labels have fewer."""
    names, others = [], []
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.namelist():
                with archive.open(entry) as stream:
                    version = np.lib.format.read_magic(stream)
                    read = np.lib.format.read_array_header_1_0
                    shape, _, dtype = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(stream)
                name = entry.removesuffix(".npy")
                if dtype.hasobject:
                    raise ValueError(f"objects in array {name!r}, such as images of different sizes")
                (names if len(shape) in (3, 4) else others).append(name)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(file, error) from None
    if not names:
        raise ValueError(
            f"expected an array [n, height, width] or [n, height, width, channels] in {quote(file.name)}; "
            f"got {quote(', '.join(others) or 'none', 150)}"
        )
    return names


def _check(shape: tuple[int, ...], dtype: np.dtype, what: str) -> None:
    if len(shape) not in (3, 4) or shape[0] == 0:
        raise ValueError(
            f"expected images [n, height, width] or [n, height, width, channels] in {quote(what)}; got shape {shape}"
        )
    if dtype != np.uint8:
        hint = ", np.rint(255 * x).astype(np.uint8) if they lie in [0, 1]" if dtype.kind == "f" else ""
        raise ValueError(
            f"expected uint8 pixels in {quote(what)}; got {dtype}: save them as whole numbers from 0 to 255{hint}"
        )
