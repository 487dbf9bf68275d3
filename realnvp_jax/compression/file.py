"""The format of a compressed file.

    5 bytes     magic number;  1 byte: format version;  4 bytes: size of the header, little-endian
    header      a msgpack array of the fields of `Header`, in their order
    words       the stack of bits, little-endian 32-bit words, its top at the end
    checksums   for each image the lowest bits of its CRC-32, D / 64 of them but at least 1 and at most 32
    8 bytes     the first bytes of the SHA-256 of everything before

Small images get short checksums, so that these cost less than 0.02 bits/dim.
"""

import dataclasses
import hashlib
import math
import zlib
from pathlib import PurePath
from typing import Any

import msgpack
import numpy as np
from jaxtyping import Bool, Int, UInt32

from realnvp_jax.text import shorten

MAGIC = b"\x93RNVP"
FORMAT = 1
_PREFIX = len(MAGIC) + 5
_DIGEST = 8
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
      names: names of the images, lines of text compressed by zlib; empty if they have none.
      num_words: size of the stack, in words.
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
    num_words: int
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

    def picture_names(self) -> list[str]:
        """The names of the images, relative paths; [] if they have none.

        Raises:
          ValueError: a name would be a file outside of the folder that the images are written to.
        """
        names = zlib.decompress(self.names).decode().split("\n") if self.names else []
        for name in names:
            path = PurePath(name)
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"expected names of pictures inside of a folder; got {shorten(name)}: do not trust it")
        return names

    def group_sizes(self) -> list[int]:
        """The size of each group."""
        pairs = zip(self.groups[::2], self.groups[1::2], strict=True)
        return [size for size, count in pairs for _ in range(count)]


def run_lengths(sizes: list[int]) -> tuple[int, ...]:
    """[size, how often, size, ...], the inverse of `Header.group_sizes`."""
    found: list[int] = []
    for size in sizes:
        if found and found[-2] == size:
            found[-1] += 1
        else:
            found += [size, 1]
    return tuple(found)


def checksums(x: Int[np.ndarray, "n *event"]) -> Bool[np.ndarray, "n bits"]:
    """The bits of the checksum of each image."""
    num_bits = min(32, max(1, int(np.prod(x.shape[1:])) // 64))
    sums = np.array([zlib.crc32(image.astype("<u4").tobytes()) for image in x], np.int64)
    return (sums[:, None] >> np.arange(num_bits)) & 1 == 1


def pack(header: Header, words: UInt32[np.ndarray, " words"], sums: Bool[np.ndarray, "n bits"]) -> bytes:
    """The content of a file with these checksums."""
    packed: Any = msgpack.packb([getattr(header, field.name) for field in dataclasses.fields(Header)])
    prefix = MAGIC + bytes([FORMAT]) + len(packed).to_bytes(4, "little")
    content = prefix + packed + words.astype("<u4").tobytes() + np.packbits(sums).tobytes()
    return content + _digest(content)


def unpack(data: bytes) -> tuple[Header, UInt32[np.ndarray, " words"], bytes]:
    """(header, words, packed checksums).

    Raises:
      ValueError: `pack` did not make these bytes, or another version did, or they have changed since.
    """
    data = bytes(data)
    if not data.startswith(MAGIC) or len(data) < _PREFIX + _DIGEST:
        raise ValueError(f"{_WHAT}; got {shorten(data[:8])} at its beginning" if data else f"{_WHAT}; got no bytes")
    if data[len(MAGIC)] != FORMAT:
        raise ValueError(
            f"expected format {FORMAT} of a compressed file; got {data[len(MAGIC)]}: decompress it with the version of "
            "realnvp_jax that wrote it"
        )
    if _digest(data[:-_DIGEST]) != data[-_DIGEST:]:
        raise ValueError(f"{_WHAT}; got {len(data):,} bytes that are damaged or truncated: use another copy of it")
    size = int.from_bytes(data[_PREFIX - 4 : _PREFIX], "little")
    fields = msgpack.unpackb(data[_PREFIX : _PREFIX + size], use_list=False)
    header = Header(*fields)
    rest = data[_PREFIX + size : -_DIGEST]
    end = 4 * header.num_words
    return header, np.frombuffer(rest[:end], "<u4").astype(np.uint32), rest[end:]


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_DIGEST]
