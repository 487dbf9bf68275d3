"""What a compressed file consists of."""

import dataclasses
import math

from realnvp_jax.compression import file


@dataclasses.dataclass(frozen=True)
class Summary:
    """The size of a compressed file, and how it comes about.

    Attributes:
      num_images: number of images.
      num_dims: number of dimensions of an image.
      num_bytes: size of the file.
      own: the mean of the flow's own bits/dim over the images, for one dequantization; images of density 0 count as
        stored without the flow.
      stored: number of images that are stored without the flow.
      start_up: bits/dim that the images below all others have beyond the flow's own; negative if these are more.
      framing: bits/dim of the header and the checksums.
      attached: bits/dim of the context and the names of the images.
    """

    num_images: int
    num_dims: int
    num_bytes: int
    own: float
    stored: int
    start_up: float
    framing: float
    attached: float

    @property
    def bits_per_dim(self) -> float:
        """Bits/dim of the whole file."""
        return self._per_dim(8 * self.num_bytes)

    @property
    def overhead(self) -> float:
        """Bits/dim beyond the flow's own."""
        return self.bits_per_dim - self.own

    @property
    def coding_overhead(self) -> float:
        """Bits/dim beyond the flow's own, the start-up, the header and what is attached.

        It may be negative: the flow's own bits/dim are those of other noise.
        """
        return self.overhead - self.start_up - self.framing - self.attached

    def images_for(self, fraction: float) -> int:
        """How many images it takes until start-up and header are this fraction of the flow's own bits/dim."""
        once = (self.start_up + self.framing) * self.num_images
        return max(0, math.ceil(once / (fraction * self.own))) if self.own > 0 else 0

    def _per_dim(self, bits: float) -> float:
        return bits / (self.num_images * self.num_dims) if self.num_images else 0.0


def summary(data: bytes, levels: int) -> Summary:
    """What a compressed file consists of.

    Args:
      data: the file.
      levels: number of values of a pixel.

    Raises:
      ValueError: the file is damaged, or is not a compressed one.
    """
    header, words = file.unpack(data)
    num, dims = header.num_images, header.num_dims
    longer = math.log2(levels) - header.first_bits_per_dim
    attached = len(header.context) + len(header.names)
    return Summary(
        num_images=num,
        num_dims=dims,
        num_bytes=len(data),
        own=header.bits_per_dim,
        stored=len(header.first) + len(header.last),
        start_up=longer * len(header.first) / num if num else 0.0,
        framing=8 * (len(data) - words.nbytes - attached) / (num * dims) if num else 0.0,
        attached=8 * attached / (num * dims) if num else 0.0,
    )
