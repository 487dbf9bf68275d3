"""Learned priors as bijections: latents with a learned mean and log_scale, mapped to the standard normal.

    z = (x - mean) exp(-log_scale),    log |det| = -sum(log_scale)

Both parameters start at 0, where the prior is the standard normal itself. (Kingma and Dhariwal, Glow, 2018.)
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection, Context, Values
from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.convolution import convolve

Image = Float[Array, "n height width channels"]


class SplitPrior(nn.Module):
    """The prior of a factored-out half: a 3x3 convolution of the other half, plus a linear map of the context."""

    @nn.compact
    def _mean_and_log_scale(self, kept: Image, channels: int, context: Context) -> tuple[Image, Image]:
        zeros = nn.initializers.zeros
        kernel = self.param("kernel", zeros, (3, 3, kept.shape[-1], 2 * channels))
        h = convolve(kept, kernel) + self.param("bias", zeros, (2 * channels,)).reshape(1, 1, 1, -1)
        if context is not None:
            h = (
                h
                + nn.Dense(2 * channels, use_bias=False, kernel_init=zeros, name="from_context")(context)[:, None, None]
            )
        mean, log_scale = jnp.split(h, 2, axis=-1)
        return mean, log_scale

    def forward_given(self, x: Image, kept: Image, context: Context = None) -> Values:
        """The factored-out half to its latent, given the half that goes on."""
        mean, log_scale = self._mean_and_log_scale(kept, x.shape[-1], context)
        return (x - mean) * jnp.exp(-log_scale), -jnp.sum(log_scale, axis=(1, 2, 3))

    def inverse_given(self, z: Image, kept: Image, context: Context = None) -> Values:
        """Inverse of `forward_given`."""
        mean, log_scale = self._mean_and_log_scale(kept, z.shape[-1], context)
        return z * jnp.exp(log_scale) + mean, jnp.sum(log_scale, axis=(1, 2, 3))


class TopPrior(Bijection):
    """The prior of the last scale: a mean and a log_scale for each channel, plus a linear map of the context."""

    is_elementwise = True

    @nn.compact
    def _mean_and_log_scale(self, x: Image, context: Context) -> tuple[Image, Image]:
        channels = x.shape[-1]
        h = self.param("bias", nn.initializers.zeros, (2 * channels,)).reshape(1, 1, 1, -1)
        if context is not None:
            dense = nn.Dense(2 * channels, use_bias=False, kernel_init=nn.initializers.zeros, name="from_context")
            h = h + dense(context)[:, None, None]
        mean, log_scale = jnp.split(jnp.broadcast_to(h, (*x.shape[:-1], 2 * channels)), 2, axis=-1)
        return mean, log_scale

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        mean, log_scale = self._mean_and_log_scale(x, context)
        return (x - mean) * jnp.exp(-log_scale), -jnp.sum(log_scale, axis=(1, 2, 3))

    def inverse(self, z, context=None):
        """Latent to data."""
        mean, log_scale = self._mean_and_log_scale(z, context)
        return z * jnp.exp(log_scale) + mean, jnp.sum(log_scale, axis=(1, 2, 3))
