"""The squeezes as bijections: permutations, log-determinant zero."""

import jax.numpy as jnp

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.mode import EVALUATE
from realnvp_jax.squeeze import squeeze, squeeze_diagonal, unsqueeze, unsqueeze_diagonal


class Squeeze(Bijection):
    """[n, H, W, C] -> [n, H/2, W/2, 4C], colour-major (`realnvp_jax.squeeze`)."""

    is_elementary = False
    is_permutation = True

    def forward(self, x, context=None, mode=EVALUATE):
        """Squeeze."""
        return squeeze(x), jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """Unsqueeze."""
        return unsqueeze(z), jnp.zeros(z.shape[:1], z.dtype)


class Unsqueeze(Bijection):
    """[n, H, W, 4C] -> [n, 2H, 2W, C], the inverse of `Squeeze`."""

    is_elementary = False
    is_permutation = True

    def forward(self, x, context=None, mode=EVALUATE):
        """Unsqueeze."""
        return unsqueeze(x), jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """Squeeze."""
        return squeeze(z), jnp.zeros(z.shape[:1], z.dtype)


class SqueezeDiagonal(Bijection):
    """[n, H, W, C] -> [n, H/2, W/2, 4C], the main diagonal of every block first (`realnvp_jax.squeeze`)."""

    is_elementary = False
    is_permutation = True

    def forward(self, x, context=None, mode=EVALUATE):
        """Squeeze."""
        return squeeze_diagonal(x), jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """Unsqueeze."""
        return unsqueeze_diagonal(z), jnp.zeros(z.shape[:1], z.dtype)
