"""NumPy's .npy and .npz files, whose headers are compared with what the files hold before anything is read.

A header of 100 bytes can claim an array of 10 TB, and a compressed entry can expand to a thousand times its size.
"""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from realnvp_jax.data.limits import MOST_FILE_BYTES
from realnvp_jax.text import shorten

Header = tuple[tuple[int, ...], np.dtype]

_ZIP = b"PK"


def read_headers(path: Path) -> dict[str, Header]:
    """Shape and type of each array of an .npz file, by name; of the array of an .npy file, named "".

    Raises:
      ValueError: a header is malformed, or claims more than the file holds.
      Exception: of any type, if the file is damaged.
    """
    headers = {}
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            file.seek(0)
            return {"": _header(file, path.stat().st_size, shorten(path.name))}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".npy"):
                name = entry.filename.removesuffix(".npy")
                with archive.open(entry) as stream:
                    headers[name] = _header(stream, entry.file_size, shorten(name))
    return headers


def read_arrays(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Some arrays of a file, by name, in memory.

    Raises:
      ValueError: they take more than 4 GiB, or as in `read_headers`.
      Exception: of any type, if the file is damaged.
    """
    headers = read_headers(path)
    size = sum(math.prod(headers[name][0]) * headers[name][1].itemsize for name in names)
    if size > MOST_FILE_BYTES:
        raise ValueError(
            f"arrays of {size / 2**30:,.1f} GiB, more than the {MOST_FILE_BYTES / 2**30:g} GiB that are read into "
            "memory: split them into several files, or save images as .npy"
        )
    if "" in headers:
        with path.open("rb") as file:
            return {"": np.lib.format.read_array(file, allow_pickle=False)}
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for name in names:
            with archive.open(f"{name}.npy") as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


def _header(stream: IO[bytes], num_bytes: int, name: str) -> Header:
    """The header of an array, of which there are `num_bytes` with its header."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if min(shape, default=0) < 0 or (dtype.itemsize == 0 and math.prod(shape) > 0):
        raise ValueError(f"an array {name} of shape {shape} and type {dtype}")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > num_bytes and not dtype.hasobject:
        raise ValueError(f"{num_bytes:,} bytes for the array {name}, whose header claims {claimed:,}")
    return shape, dtype
