"""Linear maps: NICE's diagonal scaling, and a learned invertible matrix."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection


class DiagonalScaling(Bijection):
    """z = exp(log_scale) x, one trainable log_scale an element (NICE, Section 3.3), log |det| = sum(log_scale)."""

    @nn.compact
    def _log_scale(self, x: Float[Array, "n *event"]) -> Float[Array, "one *event"]:
        return self.param("log_scale", nn.initializers.zeros, x.shape[1:])[None]

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Scale."""
        log_scale = self._log_scale(x)
        return x * jnp.exp(log_scale), jnp.broadcast_to(jnp.sum(log_scale), x.shape[:1])

    def inverse(self, z, context=None):
        """Undo the scaling."""
        log_scale = self._log_scale(z)
        return z * jnp.exp(-log_scale), jnp.broadcast_to(-jnp.sum(log_scale), z.shape[:1])


class LearnedLinear(Bijection):
    """z = x L U: an invertible matrix as a unit lower and an upper triangular one; it starts as the identity.

    The diagonal of U is exp(log_diagonal), so log |det| = sum(log_diagonal).

    Attributes:
      num_dims: size of the vectors.
    """

    num_dims: int

    def setup(self):
        """The entries below and above the diagonals, and the logarithm of the one that is free."""
        count = math.comb(self.num_dims, 2)
        self.lower_entries = self.param("lower", nn.initializers.zeros, (count,))
        self.upper_entries = self.param("upper", nn.initializers.zeros, (count,))
        self.log_diagonal = self.param("log_diagonal", nn.initializers.zeros, (self.num_dims,))

    def matrices(self) -> tuple[Float[Array, "dims dims"], Float[Array, "dims dims"]]:
        """(L, U)."""
        lower = jnp.eye(self.num_dims, dtype=self.lower_entries.dtype)
        lower = lower.at[jnp.tril_indices(self.num_dims, -1)].set(self.lower_entries)
        upper = jnp.diag(jnp.exp(self.log_diagonal)).at[jnp.triu_indices(self.num_dims, 1)].set(self.upper_entries)
        return lower, upper

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Multiply by L and by U, in full precision on every device."""
        lower, upper = self.matrices()
        matrix = jnp.matmul(lower, upper, precision=jax.lax.Precision.HIGHEST)
        z = jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
        return z, jnp.broadcast_to(jnp.sum(self.log_diagonal), x.shape[:1])

    def inverse(self, z, context=None):
        """Solve the two triangular systems."""
        lower, upper = self.matrices()
        y = jax.scipy.linalg.solve_triangular(upper, z.T, trans=1)
        x = jax.scipy.linalg.solve_triangular(lower, y, trans=1, lower=True, unit_diagonal=True).T
        return x, jnp.broadcast_to(-jnp.sum(self.log_diagonal), z.shape[:1])
