"""The squeezes as bijections: permutations, log-determinant zero."""

import jax.numpy as jnp

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.squeeze import squeeze, unsqueeze


class Squeeze(Bijection):
    """[n, H, W, C] -> [n, H/2, W/2, 4C], colour-major (`realnvp_jax.squeeze`)."""

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Squeeze."""
        return squeeze(x), jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """Unsqueeze."""
        return unsqueeze(z), jnp.zeros(z.shape[:1], z.dtype)


class Unsqueeze(Bijection):
    """[n, H, W, 4C] -> [n, 2H, 2W, C], the inverse of `Squeeze`."""

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Unsqueeze."""
        return unsqueeze(x), jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """Squeeze."""
        return squeeze(z), jnp.zeros(z.shape[:1], z.dtype)
