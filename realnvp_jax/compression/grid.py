"""Increasing functions as bijections of integers, whose log-derivative is paid in bits.

Numbers are multiples of a step, x = q * 2^-18, and q is cut into bins of K = 2^6 steps. With

    F(h) = round(f(h K step) / step),

an increasing function f takes bin h onto the integers F(h), ..., F(h + 1) - 1. Both sides are taken as uniform:

    forward    push q mod K, which is uniform on {0, ..., K - 1};   pop v, uniform on {0, ..., F(h + 1) - F(h) - 1}
    inverse    push z - F(h);                                       pop q mod K

for z = F(h) + v. The stack grows by log2 K - log2(F(h + 1) - F(h)) bits, which is -log2 f' for small bins, and the
inverse restores x and the stack to the bit, whatever the rounding errors of f are: it only has to compute the same F.
(Ho, Lohn and Abbeel, Compression with Flows via Local Bits-Back Coding, 2019, use normal distributions instead;
Zhang et al., iFlow, 2021, use uniform ones.)
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from realnvp_jax.compression.bits import LARGEST_SIZE, BitStack

STEP_BITS = 18
BIN_BITS = 6
STEP = 2.0**-STEP_BITS
_LARGEST = 2.0**40  # steps; larger numbers belong to no image
_MOST_CORRECTIONS = 32

Integers = Int[np.ndarray, "n *m"]
Edges = Callable[[Integers], Float[np.ndarray, "n *m"]]  # h -> f(h K step) / step


class ImpossibleError(Exception):
    """Numbers that the code cannot express; the argument holds the indices of their examples.

    A decoder meets them if a floating-point result differs from that of the encoder.
    """


def check(is_possible: np.ndarray) -> None:
    """Raise ImpossibleError with the examples, along the first axis, that are not possible throughout."""
    rows = is_possible.reshape(len(is_possible), -1).all(axis=1)
    if not rows.all():
        raise ImpossibleError(np.flatnonzero(~rows))


def forward(bits: BitStack, x: Integers, edges: Edges, bin_bits: int = BIN_BITS) -> Integers:
    """F of grid points.

    Raises:
      ImpossibleError: f is not finite, or its slope is too small or too large.
    """
    bins = x >> bin_bits
    start, end = _rounded(edges(bins)), _rounded(edges(bins + 1))
    width = end - start
    check((width >= 1) & (width <= LARGEST_SIZE))
    bits.push(x - (bins << bin_bits), 2**bin_bits)
    return start + bits.pop(width)


def inverse(
    bits: BitStack, z: Integers, edges: Edges, guess: Float[np.ndarray, "n *m"], bin_bits: int = BIN_BITS
) -> Integers:
    """Inverse of `forward`.

    Args:
      bits: the stack.
      z: grid points.
      edges: see `Edges`.
      guess: the inverse function of z + 1/2, in steps, up to rounding errors.
      bin_bits: log2 of the steps in a bin.

    Raises:
      ImpossibleError: no x with this z was found.
    """
    check(np.abs(guess) < _LARGEST)
    bins = np.floor(guess).astype(np.int64) >> bin_bits
    start, end = _rounded(edges(bins)), _rounded(edges(bins + 1))
    for _ in range(_MOST_CORRECTIONS):
        correction = (z >= end).astype(np.int64) - (z < start)
        if not correction.any():
            break
        bins = bins + correction
        start, end = _rounded(edges(bins)), _rounded(edges(bins + 1))
    check((start <= z) & (z < end) & (end - start <= LARGEST_SIZE))
    bits.push(z - start, end - start)
    return (bins << bin_bits) + bits.pop(np.full_like(z, 2**bin_bits))


def _rounded(values: Float[np.ndarray, "n *m"]) -> Integers:
    """Nearest integers; numbers that are not finite, or too large, fail `check`."""
    check(np.abs(values) < _LARGEST)
    return np.rint(values).astype(np.int64)
