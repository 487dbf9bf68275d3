"""Normalisation as a bijection (Section 3.7 of the paper): what batch norm and ActNorm share.

    z = (x - mean) exp(-log_deviation),    log |det| = -positions * sum(log_deviation)

per channel, on all positions, or on the transformed cells of a mask.
"""

import abc
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.masks import CellMask, Parity

Statistics = tuple[Array, Array]  # (mean, log_deviation), both shaped to broadcast against x


class Normalization(Bijection):
    """A shift and a scale per channel.

    Attributes:
      mask: with a mask over cells, those of the identity half are left alone.
    """

    mask: CellMask | None = None

    @abc.abstractmethod
    def statistics_of(
        self,
        x: Float[Array, "n *positions channels"],
        *,
        train: bool = False,
        axis_name: str | None = None,
        parity: Parity | None = None,
    ) -> Statistics:
        """The statistics that x is normalised by."""

    def _mask(self, parity: Parity | None) -> CellMask | None:
        return self.mask if self.mask is None or parity is None else self.mask.with_parity(parity)

    def _log_det(self, log_deviation: jax.Array, x: jax.Array, mask: CellMask | None) -> jax.Array:
        positions = math.prod(x.shape[1:-1]) if mask is None else mask.num_transformed(x.shape)
        return jnp.broadcast_to(-positions * jnp.sum(log_deviation), x.shape[:1])

    def normalize(
        self, x: Float[Array, "n *positions channels"], statistics: Statistics, parity: Parity | None = None
    ) -> tuple[Array, Float[Array, " n"]]:
        """(z, log_det) under given statistics."""
        mean, log_deviation = statistics
        mask = self._mask(parity)
        z = (x - mean) * jnp.exp(-log_deviation)
        return z if mask is None else mask.merge(x, z), self._log_det(log_deviation, x, mask)

    def denormalize(
        self, z: Float[Array, "n *positions channels"], statistics: Statistics, parity: Parity | None = None
    ) -> tuple[Array, Float[Array, " n"]]:
        """(x, log_det) under given statistics."""
        mean, log_deviation = statistics
        mask = self._mask(parity)
        x = z * jnp.exp(log_deviation) + mean
        return x if mask is None else mask.merge(z, x), -self._log_det(log_deviation, z, mask)

    def forward(self, x, context=None, *, train=False, axis_name=None, parity=None):
        """Normalise."""
        statistics = self.statistics_of(x, train=train, axis_name=axis_name, parity=parity)
        return self.normalize(x, statistics, parity)

    def inverse(self, z, context=None, *, parity=None):
        """Undo the normalisation."""
        return self.denormalize(z, self.statistics_of(z, parity=parity), parity)
