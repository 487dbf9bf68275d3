"""Bits-back coding of discrete images by a flow.

    encode    pop u, y = x + u;  preprocessing and bijection on the grid;  push the latents
    decode    pop the latents;   the inverse maps;                         push u

Popping u costs no bits, since the decoder gets them back, so that the stack grows by -log2 p(y) + log2 q(y | x) bits
for each image, the flow's own code length for this dequantization. But the bits have to be there: the first images of a
file are stored without the flow, and what follows takes bits from them.

The bits at the top of the stack come from the latents of the images before. If these latents do not quite follow the
base distribution, the bits are not uniform, nor is the noise that is drawn from them, and the density of y is lower
than for uniform noise. The encoder therefore scrambles the bits first, by numbers that depend on the pixels; the
decoder knows the pixels by the time it undoes the scrambling.
(Townsend, Bird and Barber, Practical Lossless Compression with Latent Variables Using Bits Back Coding, 2019.)
"""

import hashlib
from typing import Any

import numpy as np
from jaxtyping import Int

import realnvp_jax.compression.rules  # noqa: F401
from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.exact import Part, exact
from realnvp_jax.compression.latents import Latents
from realnvp_jax.compression.pixels import ExactPreprocessing, exact_dequantizer
from realnvp_jax.models.pure import DEQUANTIZER

_LARGEST_LATENT = 128  # images with larger ones are stored without the flow
Pixels = Int[np.ndarray, "n *event"]


class BitsBack:
    """Codes images of a flow, up to a batch at a time.

    Args:
      flow: a flow of discrete data.
      variables: its parameters in double precision.
      batch_size: largest number of images that are coded together.

    Raises:
      ValueError: the flow has a part that compression does not know.
    """

    takes_bits = True

    def __init__(self, flow: Any, variables: Any, batch_size: int):
        of_dequantizer = {name: tree[DEQUANTIZER] for name, tree in variables.items() if DEQUANTIZER in tree}
        self._event_shape = flow.event_shape
        self._dequantizer = exact_dequantizer(flow, of_dequantizer, batch_size)
        self._preprocessing = ExactPreprocessing(
            flow.preprocessing, flow.levels, self._dequantizer.step_bits, batch_size
        )
        self._bijection = exact(flow.bijection, Part(flow.bijection, variables, batch_size))
        self._latents = Latents(flow.base, _LARGEST_LATENT)

    def encode(self, bits: BitStack, x: Pixels, context: Any) -> None:
        """Push images.

        Raises:
          ImpossibleError: an image cannot be coded by the flow; the stack has changed.
        """
        self._scramble(bits, x, 1)
        y = self._dequantizer.forward(bits, x, context)
        z = self._bijection.forward(bits, self._preprocessing.forward(bits, y), context)
        self._latents.push(bits, z)

    def decode(self, bits: BitStack, num: int, context: Any) -> Pixels:
        """Pop images.

        Raises:
          ImpossibleError: the bits are not those that `encode` left, or a result differs from the encoder's.
        """
        z = self._latents.pop(bits, (num, *self._event_shape))
        y = self._preprocessing.inverse(bits, self._bijection.inverse(bits, z, context))
        x = self._dequantizer.inverse(bits, y, context)
        self._scramble(bits, x, -1)
        return x

    def _scramble(self, bits: BitStack, x: Pixels, sign: int) -> None:
        """Add to the bits that dequantization takes, or subtract, numbers that look random and depend on x."""
        size = 2**self._dequantizer.step_bits
        stream = hashlib.shake_256(x.astype("<u4").tobytes()).digest(4 * x.size)
        added = np.frombuffer(stream, "<u4").astype(np.int64).reshape(x.shape)
        bits.push((bits.pop(np.full(x.shape, size)) + sign * added) % size, size)
