"""The format of a compressed file.

    5 bytes     magic number;  1 byte: format version;  4 bytes: size of the header
    header      a msgpack array of the fields of `Header`, in their order
    words       the stack of bits in 32-bit words, its top at the end
    8 bytes     the first bytes of the SHA-256 of everything before

Integers are little-endian.
"""

import dataclasses
import hashlib
import math
import zlib
from pathlib import PureWindowsPath
from typing import Any

import jax.numpy as jnp
import msgpack
import numpy as np
from jaxtyping import Int, UInt32

from realnvp_jax.text import shorten

MAGIC = b"\x93RNVP"
FORMAT = 1
_PREFIX = len(MAGIC) + 5
_DIGEST = 8
LARGEST_BATCH = 2**16
_LONGEST_NAME = 4096
_WHAT = "expected a whole file that realnvp_jax.compress wrote"


@dataclasses.dataclass(frozen=True)
class Header:
    """What a file says besides the bits.

    Attributes:
      flow: hash of the flow.
      params: hash of its parameters.
      batch: leading dimensions of the array of images.
      event_shape: shape of an image.
      dtype: its dtype.
      batch_size: largest number of images that are coded together.
      first: indices of the images that are stored without the flow below all others.
      last: those that are stored without the flow above all others.
      groups: numbers of images that are coded together, from the bottom of the stack: [size, how often, size, ...].
      context: the context of a conditional flow, float32 values compressed by zlib; empty if there is none.
      names: names of the images, separated by NUL and compressed by zlib; empty if they have none.
      pixels: the first bytes of the SHA-256 of all pixels, as little-endian 32-bit integers.
      constants: constants of the coder.
      bits_per_dim: mean over the images of the flow's own bits/dim, for one dequantization.
      first_bits_per_dim: their mean over the images in `first`, 0 if there are none.
      probe: log_prob of a fixed image, which shows whether a machine computes the flow as the encoder's did.
      versions: versions of realnvp_jax and JAX, and the processor, for messages.
    """

    flow: bytes
    params: bytes
    batch: tuple[int, ...]
    event_shape: tuple[int, ...]
    dtype: str
    batch_size: int
    first: tuple[int, ...]
    last: tuple[int, ...]
    groups: tuple[int, ...]
    context: bytes
    names: bytes
    pixels: bytes
    constants: tuple[int, ...]
    bits_per_dim: float
    first_bits_per_dim: float
    probe: float
    versions: str

    @property
    def num_images(self) -> int:
        """Number of images."""
        return math.prod(self.batch)

    @property
    def num_dims(self) -> int:
        """Number of dimensions of an image."""
        return math.prod(self.event_shape)

    def is_consistent(self) -> bool:
        """Whether every image is in one place, and the sizes are possible."""
        sizes, counts = self.groups[::2], self.groups[1::2]
        by_flow = sum(size * count for size, count in zip(sizes, counts, strict=False))
        stored = {*self.first, *self.last}
        return (
            all(size >= 0 for size in (*self.batch, *self.event_shape, *counts))
            and all(1 <= size <= self.batch_size for size in sizes)
            and self.batch_size <= LARGEST_BATCH
            and len(stored) == len(self.first) + len(self.last)
            and all(0 <= image < self.num_images for image in stored)
            and by_flow + len(stored) == self.num_images
            and len(sizes) == len(counts)
            and jnp.issubdtype(jnp.dtype(self.dtype), jnp.integer)
        )

    def picture_names(self) -> list[str]:
        """The names of the images, relative paths; [] if they have none.

        Raises:
          ValueError: there are more or fewer names than images, or a name would be a file outside of the folder that
            the images are written to.
        """
        if not self.names:
            return []
        text = inflated(self.names, _LONGEST_NAME * self.num_images)
        names = text.decode(errors="surrogateescape").split("\0")
        for name in names:
            if not is_inside(name):
                raise ValueError(f"expected names of pictures inside of a folder; got {shorten(name)}: do not trust it")
        if len(names) != self.num_images:
            raise ValueError(f"expected a name for each of {self.num_images} images; got {len(names)}: do not trust it")
        return names

    def group_sizes(self) -> list[int]:
        """The size of each group."""
        pairs = zip(self.groups[::2], self.groups[1::2], strict=True)
        return [size for size, count in pairs for _ in range(count)]


def is_inside(name: str) -> bool:
    """Whether a relative path stays inside the folder that it is taken from, on every system."""
    path = PureWindowsPath(name)  # it takes both kinds of slashes as separators
    return not (path.drive or path.root or ".." in path.parts)


def run_lengths(sizes: list[int]) -> tuple[int, ...]:
    """[size, how often, size, ...], the inverse of `Header.group_sizes`."""
    found: list[int] = []
    for size in sizes:
        if found and found[-2] == size:
            found[-1] += 1
        else:
            found += [size, 1]
    return tuple(found)


def checksum(x: Int[np.ndarray, "n *event"]) -> bytes:
    """The checksum of the images."""
    digest = hashlib.sha256()
    for image in x:
        digest.update(image.astype("<u4").tobytes())
    return digest.digest()[:_DIGEST]


def pack(header: Header, words: UInt32[np.ndarray, " words"]) -> bytes:
    """The content of a file."""
    packed: Any = msgpack.packb([getattr(header, field.name) for field in dataclasses.fields(Header)])
    prefix = MAGIC + bytes([FORMAT]) + len(packed).to_bytes(4, "little")
    content = prefix + packed + words.astype("<u4").tobytes()
    return content + _digest(content)


def unpack(data: bytes) -> tuple[Header, UInt32[np.ndarray, " words"]]:
    """(header, words).

    Raises:
      ValueError: `pack` did not make these bytes, or another version did, or they have changed since.
    """
    data = bytes(data)
    if not data.startswith(MAGIC):
        raise ValueError(f"{_WHAT}; got {shorten(data[:8])} at its beginning" if data else f"{_WHAT}; got no bytes")
    if len(data) > len(MAGIC) and data[len(MAGIC)] != FORMAT:
        raise ValueError(
            f"expected format {FORMAT} of a compressed file; got {data[len(MAGIC)]}: decompress it with the version of "
            "realnvp_jax that wrote it"
        )
    if len(data) < _PREFIX + _DIGEST or _digest(data[:-_DIGEST]) != data[-_DIGEST:]:
        raise ValueError(f"{_WHAT}; got {len(data):,} bytes that are damaged or truncated: use another copy of it")
    size = int.from_bytes(data[_PREFIX - 4 : _PREFIX], "little")
    header = Header(*msgpack.unpackb(data[_PREFIX : _PREFIX + size], use_list=False))
    words = np.frombuffer(data[_PREFIX + size : -_DIGEST], "<u4").astype(np.uint32)
    if not header.is_consistent():
        raise ValueError(f"{_WHAT}; got one whose header contradicts itself: do not trust it")
    return header, words


def inflated(content: bytes, largest: int) -> bytes:
    """Content that was compressed by zlib, of which no more than `largest` bytes are accepted.

    Raises:
      ValueError: there are more.
    """
    inflating = zlib.decompressobj()
    found = inflating.decompress(content, largest + 1) if content else b""
    if len(found) > largest:
        raise ValueError(f"{_WHAT}; got one with far more text than its images need: do not trust it")
    return found


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_DIGEST]
