"""Normalization as a bijection (Section 3.7 of the paper).

    z = (x - mean) exp(-log_std),    log |det| = -positions * sum(log_std)

per channel, on all positions, or on the transformed cells of a mask.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection, Values
from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.statistics import Cells, Normalization


class Normalize(Bijection):
    """Shift and scale per channel.

    Attributes:
      statistics: mean and standard deviation that x is normalized by.
    """

    is_elementwise = True
    statistics: Normalization

    def normalize(self, x: Float[Array, "n *positions channels"], cells: Cells = None, mode: Mode = EVALUATE) -> Values:
        """`forward`; with a mask over cells, the cells of the identity half stay zero."""
        mean, log_std = self.statistics(x, cells, mode)
        z = (x - mean) * jnp.exp(-log_std)
        return z if cells is None else jnp.where(cells, x, z), -_log_det(log_std, x, cells)

    def denormalize(self, z: Float[Array, "n *positions channels"], cells: Cells = None) -> Values:
        """`inverse`; with a mask over cells, the cells of the identity half stay zero."""
        mean, log_std = self.statistics(z, cells)
        x = z * jnp.exp(log_std) + mean
        return x if cells is None else jnp.where(cells, z, x), _log_det(log_std, z, cells)

    def forward(self, x, context=None, mode=EVALUATE):
        """Normalize."""
        return self.normalize(x, None, mode)

    def inverse(self, z, context=None):
        """Undo the normalization."""
        return self.denormalize(z)


def _log_det(log_std: jax.Array, x: jax.Array, cells: Cells) -> Float[Array, " n"]:
    channels = x.shape[-1]
    if log_std.shape[:-1] != (1,) * (x.ndim - 1) or log_std.shape[-1] not in (1, channels):
        expected = str((1,) * (x.ndim - 1))[:-1].rstrip(",")
        raise ValueError(
            f"expected a normalization to return a log standard deviation of shape {expected}, {channels}), "
            f"or {expected}, 1) for all channels, for values of shape {x.shape}; got {log_std.shape}"
        )
    positions = math.prod(x.shape[1:-1]) if cells is None else jnp.sum(~cells).astype(x.dtype)
    return jnp.broadcast_to(positions * jnp.sum(jnp.broadcast_to(log_std.ravel(), (channels,))), x.shape[:1])
