"""What images come from: a number of encoded or decoded images in a fixed order, and what identifies them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.labels import number_classes
from realnvp_jax.text import shorten

Reader = Callable[[Framing, int], UInt8[np.ndarray, "height width channels"]]


@dataclasses.dataclass(frozen=True)
class Labels:
    """To which class each image of a source belongs.

    Attributes:
      classes: names of the classes.
      number: i to the number of image i's class, -1 if this image has no label. It is called from several threads.
    """

    classes: tuple[str, ...]
    number: Callable[[int], int]


@dataclasses.dataclass(frozen=True, eq=False)
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
      images: all the images, where they are in memory already; these are not cached.
    """

    title: str
    identity: Mapping[str, object]
    num: int
    read: Reader
    files: Sequence[str] | None = None
    shape: tuple[int, ...] | None = None
    labels: Labels | str = "none"
    images: UInt8[np.ndarray, "num height width channels"] | None = None


def source_in_memory(title: str, examples: Examples) -> Source:
    """The images that a data set has loaded, with their labels if they have any.

    Raises:
      ValueError: they are not uint8 images, or their labels do not belong to them.
    """
    x, name = np.asarray(examples.x), shorten(title, 100)
    if x.dtype != np.uint8 or x.ndim != 4 or x.size == 0 or examples.context is not None:
        got = "a context: give labels" if examples.context is not None else f"{shorten(x.dtype)} of shape {x.shape}"
        raise ValueError(f"expected uint8 images [n, height, width, channels] in {name}; got {got}")
    return Source(
        title, {}, len(x), lambda framing, i: framing.frame(x[i]), None, x.shape[1:], _labels(name, examples), x
    )


def _labels(title: str, examples: Examples) -> Labels | str:
    if examples.labels is None:
        return "none"
    labels, classes = np.asarray(examples.labels), tuple(examples.classes)
    if labels.shape != (len(examples),):
        raise ValueError(f"expected a label for each of the {len(examples):,} images of {title}; got {labels.shape}")
    if not classes:
        classes, labels = number_classes(labels)
    elif labels.dtype.kind not in "iu" or labels.min() < -1 or labels.max() >= len(classes):
        raise ValueError(
            f"expected labels of {title} that are numbers of its {len(classes)} classes, or -1; "
            f"got {shorten(labels.dtype)} from {shorten(labels.min())} to {shorten(labels.max())}"
        )
    return Labels(classes, lambda i: int(labels[i]))
