"""Latents as bits: the base distribution on the grid.

Bins of 1/16 have their probability under the base's own density (and at least 2^-24); the places within a bin are
uniform.
"""

import jax.numpy as jnp
import numpy as np

from realnvp_jax.base import Base
from realnvp_jax.compression import grid
from realnvp_jax.compression.bits import BitStack, Table

_BIN_BITS = grid.STEP_BITS - 4


class Latents:
    """Independent latents, each with the distribution of a base between -largest and largest."""

    def __init__(self, base: Base, largest: int):
        self._num_bins = 2 * largest * 2 ** (grid.STEP_BITS - _BIN_BITS)
        centres = (np.arange(self._num_bins) + 0.5) * (2 * largest / self._num_bins) - largest
        density = np.exp(np.asarray(base.log_density(jnp.asarray(centres))))
        self._table = Table(density / density.sum())

    def push(self, bits: BitStack, z: grid.Integers) -> None:
        """Push latents.

        Raises:
          ImpossibleError: a latent is too far from 0.
        """
        bins = (z >> _BIN_BITS) + self._num_bins // 2
        grid.check((bins >= 0) & (bins < self._num_bins))
        bits.push(z & (2**_BIN_BITS - 1), 2**_BIN_BITS)
        bits.push_symbols(bins, self._table)

    def pop(self, bits: BitStack, shape: tuple[int, ...]) -> grid.Integers:
        """Pop latents: random ones, if the bits are."""
        bins = bits.pop_symbols(shape, self._table) - self._num_bins // 2
        return (bins << _BIN_BITS) + bits.pop(np.full(shape, 2**_BIN_BITS))
