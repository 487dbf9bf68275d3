"""What images come from: a number of encoded or decoded images in a fixed order, and what identifies them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from jaxtyping import UInt8
from numpy import ndarray

from realnvp_jax.data.framing import Framing

Reader = Callable[[Framing, int], UInt8[ndarray, "height width channels"]]


@dataclasses.dataclass(frozen=True)
class Labels:
    """To which class each image of a source belongs.

    Attributes:
      classes: names of the classes.
      number: i to the number of image i's class, -1 if this image has no label. It is called from several threads.
    """

    classes: tuple[str, ...]
    number: Callable[[int], int]


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of a data set, not yet decoded.

    Attributes:
      title: what it is called in messages.
      identity: everything that its pixels and labels depend on (versions, sizes, times of change), as values of JSON.
      num: how many images there are.
      read: (framing, i) to the framed image i; raises BadPictureError. It is called from several threads.
      files: names of the images, if they have any.
      shape: (height, width, channels) of all the images, where it is known beforehand.
      labels: of the images; or what there is instead, for the message that refuses to use them.
    """

    title: str
    identity: Mapping[str, object]
    num: int
    read: Reader
    files: Sequence[str] | None = None
    shape: tuple[int, ...] | None = None
    labels: Labels | str = "none"
