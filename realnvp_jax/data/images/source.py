"""Where images come from: encoded or decoded images in a fixed order, and what identifies them."""

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
    """The class of each image of a source.

    Attributes:
      classes: names of the classes.
      number: maps i to the class of image i, an index into `classes`, or -1 if that image has no label. It is called
              from several threads.
    """

    classes: tuple[str, ...]
    number: Callable[[int], int]


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A split of a data set, not yet decoded.

    Attributes:
      title: what the source is called in messages.
      identity: everything that pixels and labels depend on (versions, sizes, times of modification), as JSON values.
      num: number of images.
      read: maps (framing, i) to the framed image i, or raises BadPictureError. It is called from several threads.
      files: names of the images, if they have any.
      shape: (height, width, channels) of all images, if it is known without decoding them.
      labels: the labels of the images, or a text for error messages that says what was found instead of labels.
      images: all images, if they are in memory already; such images are not cached.
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
      ValueError: they are not uint8 images, or their labels do not fit them.
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
            f"expected labels of {title} that are indices of its {len(classes)} classes, or -1; "
            f"got {shorten(labels.dtype)} from {shorten(labels.min())} to {shorten(labels.max())}"
        )
    return Labels(classes, lambda i: int(labels[i]))
