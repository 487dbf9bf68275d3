"""The invertible 1x1 convolution without a factorization of its matrix (Kingma and Dhariwal, Glow, 2018, Section 3.2).

    z = x W at every position,    log |det| = positions * log |det W|

In contrast to P L U (`bijections.linear`), W can become singular, and its log-determinant takes O(channels^3)
operations.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.linear import per_example, random_rotation
from realnvp_jax.mode import EVALUATE
from realnvp_jax.registry import register


@register("mixing", "conv1x1_plain")
class PlainInvertibleConv(Bijection):
    """A learned matrix that starts as a random rotation; log |det| is -inf if it becomes singular."""

    invertible = ("matrix",)  # the parameters that must be invertible matrices

    @nn.compact
    def matrix(self, channels: int) -> Float[Array, "channels channels"]:
        """W."""
        matrix = self.param("matrix", random_rotation, channels)
        return matrix.astype(jnp.promote_types(matrix.dtype, jnp.float32))  # parameters may be stored in bfloat16

    def forward(self, x, context=None, mode=EVALUATE):
        """Multiply by W, in full precision on every device."""
        matrix = self.matrix(x.shape[-1])
        z = jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
        return z, per_example(jnp.linalg.slogdet(matrix)[1], x)

    def inverse(self, z, context=None):
        """Solve the linear system."""
        matrix = self.matrix(z.shape[-1])
        x = jnp.linalg.solve(matrix.T, z.reshape(-1, z.shape[-1]).T).T
        return x.reshape(z.shape), -per_example(jnp.linalg.slogdet(matrix)[1], z)
