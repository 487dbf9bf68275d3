"""Normalization as a layer of a network, with a trainable offset.

batch_norm    (x - mean) / standard deviation + offset, without a gain unless the network asks for one
act_norm      (x - mean) / standard deviation, both trainable
none          x + offset
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.mode import Mode
from realnvp_jax.networks.statistics import Normalization, per_channel


class NormalizedInput(nn.Module):
    """Normalization of a layer's input, computed in at least float32 and returned in the dtype of x.

    Attributes:
      statistics: mean and standard deviation that x is normalized by.
      use_gain: whether a trainable gain, which starts at 1, multiplies the normalized x, before the offset.
    """

    statistics: Normalization
    use_gain: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n *positions channels"], mode: Mode) -> Float[Array, "n *positions channels"]:
        """Normalize."""
        h = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        if not self.statistics.is_identity:
            mean, log_std = self.statistics(h, None, mode)
            h = (h - mean) * jnp.exp(-log_std)
        if self.use_gain:
            h = h * per_channel(self.param("gain", nn.initializers.ones, x.shape[-1:]), x)
        if not self.statistics.learns_mean:
            h = h + per_channel(self.param("offset", nn.initializers.zeros, x.shape[-1:]), x)
        return h.astype(x.dtype)
