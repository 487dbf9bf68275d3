"""Normalisation as a bijection (Section 3.7 of the paper): what batch norm and ActNorm share.

    z = (x - mean) exp(-log_deviation),    log |det| = -positions * sum(log_deviation)

per channel, on all positions, or on the transformed cells of a mask.
"""

import abc
import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.masks import CellMask


class Normalization(Bijection):
    """A shift and a scale per channel.

    Attributes:
      mask: with a mask over cells, those of the identity half are left alone.
    """

    mask: CellMask | None = None

    @abc.abstractmethod
    def _mean_and_log_deviation(
        self, x: Float[Array, "n *positions channels"], *, train: bool, axis_name: str | None
    ) -> tuple[Array, Array]:
        """Both shaped to broadcast against x."""

    def _log_det(self, log_deviation, x):
        positions = math.prod(x.shape[1:-1]) if self.mask is None else self.mask.num_transformed(x.shape)
        return jnp.broadcast_to(-positions * jnp.sum(log_deviation), x.shape[:1])

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Normalise."""
        mean, log_deviation = self._mean_and_log_deviation(x, train=train, axis_name=axis_name)
        z = (x - mean) * jnp.exp(-log_deviation)
        if self.mask is not None:
            z = self.mask.merge(x, z)
        return z, self._log_det(log_deviation, x)

    def inverse(self, z, context=None):
        """Undo the normalisation."""
        mean, log_deviation = self._mean_and_log_deviation(z, train=False, axis_name=None)
        x = z * jnp.exp(log_deviation) + mean
        if self.mask is not None:
            x = self.mask.merge(z, x)
        return x, -self._log_det(log_deviation, z)
