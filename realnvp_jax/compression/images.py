"""Many images on one stack of bits.

Their order, from the bottom of the stack:

    some images without the flow, from whose bits bits-back coding starts, and those that it would make longer
    groups of images by the flow, as large as the bits below them can pay for, up to the size of a batch
    images that turned out to be impossible for the flow, without it

Images without the flow take log2(levels) bits per dimension. A fixed sequence of numbers is added to their pixels,
modulo the levels, so that their bits look random: the noise of dequantization comes from them.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int

from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.file import Header
from realnvp_jax.compression.grid import ImpossibleError

Pixels = Int[np.ndarray, "n *event"]
Progress = Callable[[int], Any]  # called with a number of further images


class Coder(Protocol):
    """What codes a group of images by a flow."""

    takes_bits: bool  # whether `encode` pops bits, too

    def encode(self, bits: BitStack, x: Pixels, context: Any) -> None:
        """Push images."""
        ...

    def decode(self, bits: BitStack, num: int, context: Any) -> Pixels:
        """Pop images."""
        ...


def bits_to_start(coder: Coder, x: Pixels, context: Any) -> int:
    """How many bits the stack must have for one of the images, of shape [1, *event], before it grows."""
    if not coder.takes_bits:
        return 0
    random = np.frombuffer(hashlib.shake_256(b"scratch").digest(8 * x[0].size), "<u4")
    bits = BitStack(random | 1)  # the last word must not be 0
    with contextlib.suppress(ImpossibleError):  # up to there, it has taken some
        coder.encode(bits, x, context)
    return bits.dip


def stored_first(own: Float[np.ndarray, " n"], bits_to_start: int, raw: float, num_dims: int) -> list[int]:
    """The images at the bottom of the stack: enough to start from, and those that the flow would not make shorter.

    Args:
      own: the flow's bits/dim of each image.
      bits_to_start: size of the stack from which the flow can code an image.
      raw: bits/dim of an image without the flow.
      num_dims: number of dimensions of an image.
    """
    worst = np.argsort(-own, kind="stable")
    longer = int(np.sum(own >= raw))
    needed = math.ceil(bits_to_start / (raw * num_dims))
    return sorted(worst[: max(longer, needed)].tolist())


def encode(
    coder: Coder, x: Pixels, context: Any, first: Sequence[int], levels: int, batch_size: int, progress: Progress
) -> tuple[BitStack, list[int], list[int]]:
    """(the stack, the sizes of the groups, the images that the flow could not code)."""
    bits, groups, last = BitStack(), [], []
    push_plain(bits, x[list(first)], levels)
    progress(len(first))
    stored = set(first)
    rest = [i for i in range(len(x)) if i not in stored]
    cost = 1.0  # bits that an image takes before the stack grows: the most until now
    while rest:
        affordable = batch_size
        if coder.takes_bits:
            affordable = max(1, int(bits.size // cost)) if groups else 1
        size = min(batch_size, affordable)
        group, rest = rest[:size], rest[size:]
        bits, group, impossible = _encode_group(coder, bits, x, context, group)
        last += impossible
        if group:
            groups.append(len(group))
            cost = max(cost, bits.dip / len(group))
        progress(len(group))
    push_plain(bits, x[last], levels)
    progress(len(last))
    return bits, groups, last


def _encode_group(
    coder: Coder, bits: BitStack, x: Pixels, context: Any, group: list[int]
) -> tuple[BitStack, list[int], list[int]]:
    """(the stack, the images that were pushed, those that the flow cannot code)."""
    impossible: list[int] = []
    while group:
        attempt = bits.copy()
        try:
            coder.encode(attempt, x[group], _rows(context, group))
            return attempt, group, impossible
        except ImpossibleError as error:
            bad = set(error.args[0].tolist())
            impossible += [group[i] for i in sorted(bad)]
            group = [image for i, image in enumerate(group) if i not in bad]
    return bits, group, impossible


def decode(coder: Coder, bits: BitStack, context: Any, header: Header, levels: int, progress: Progress) -> Pixels:
    """The images.

    Raises:
      ImpossibleError: a result differs from the encoder's.
    """
    x = np.zeros((header.num_images, *header.event_shape), np.int64)
    stored = {*header.first, *header.last}
    by_flow = [i for i in range(len(x)) if i not in stored]
    x[list(header.last)] = pop_plain(bits, len(header.last), header.event_shape, levels)
    progress(len(header.last))
    for size in reversed(header.group_sizes()):
        group, by_flow = by_flow[-size:], by_flow[:-size]
        x[group] = coder.decode(bits, size, _rows(context, group))
        progress(size)
    x[list(header.first)] = pop_plain(bits, len(header.first), header.event_shape, levels)
    progress(len(header.first))
    if bits.size:
        raise ImpossibleError(np.arange(len(x)))
    return x


def push_plain(bits: BitStack, x: Pixels, levels: int) -> None:
    """Push images without the flow."""
    bits.push((x + _added(x.shape, levels)) % levels, levels)


def pop_plain(bits: BitStack, num: int, event_shape: tuple[int, ...], levels: int) -> Pixels:
    """The inverse of `push_plain`."""
    shape = (num, *event_shape)
    return (bits.pop(np.full(shape, levels)) - _added(shape, levels)) % levels


def _added(shape: tuple[int, ...], levels: int) -> Int[np.ndarray, "..."]:
    """A sequence of numbers that looks random."""
    stream = hashlib.shake_256(b"realnvp_jax").digest(4 * math.prod(shape))
    return (np.frombuffer(stream, "<u4").astype(np.int64) % levels).reshape(shape)


def _rows(context: Any, group: list[int]) -> Any:
    return None if context is None else context[group]
