"""Linear maps: NICE's diagonal scaling, and a learned invertible matrix."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection

_SMALLEST_DEVIATION = 1e-6  # below it a direction of standardised data counts as constant


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

    The diagonal of U is exp(log_diagonal), so log |det| = sum(log_diagonal). `flow.init(key, x)` makes it start as the
    upper triangular matrix that gives the batch covariance 1 (the model of one such map is then the best Gaussian),
    unless the batch has too few examples or a singular covariance.

    Attributes:
      num_dims: size of the vectors.
    """

    num_dims: int

    def setup(self):
        """The entries below and above the diagonals, and the logarithm of the one that is free."""
        count = math.comb(self.num_dims, 2)
        self.param("lower", nn.initializers.zeros, (count,))
        self.param("upper", nn.initializers.zeros, (count,))
        self.param("log_diagonal", nn.initializers.zeros, (self.num_dims,))

    def matrices(self) -> tuple[Float[Array, "dims dims"], Float[Array, "dims dims"]]:
        """(L, U)."""
        entries = {name: self.get_variable("params", name) for name in ("lower", "upper", "log_diagonal")}
        lower = jnp.eye(self.num_dims, dtype=entries["lower"].dtype)
        lower = lower.at[jnp.tril_indices(self.num_dims, -1)].set(entries["lower"])
        upper = jnp.diag(jnp.exp(entries["log_diagonal"]))
        upper = upper.at[jnp.triu_indices(self.num_dims, 1)].set(entries["upper"])
        return lower, upper

    def _whiten(self, x: Float[Array, "n dims"], axis_name: str | None) -> None:
        """Set L to the identity and U to R^-1, where x - mean = Q R sqrt(n)."""
        if axis_name is not None:
            x = jax.lax.all_gather(x, axis_name, tiled=True)
        if len(x) <= self.num_dims:
            return
        factor = jnp.linalg.qr((x - x.mean(axis=0, keepdims=True)) / np.sqrt(len(x)), mode="r")
        factor = factor * jnp.where(jnp.diag(factor) < 0, -1, 1)[:, None]
        upper = jax.scipy.linalg.solve_triangular(factor, jnp.eye(self.num_dims, dtype=x.dtype))
        is_regular = jnp.min(jnp.diag(factor)) > _SMALLEST_DEVIATION
        upper = jnp.where(is_regular, upper, jnp.eye(self.num_dims, dtype=x.dtype))
        self.put_variable("params", "upper", upper[jnp.triu_indices(self.num_dims, 1)])
        self.put_variable("params", "log_diagonal", jnp.log(jnp.diag(upper)))
        self.put_variable("params", "lower", jnp.zeros_like(self.get_variable("params", "lower")))

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Multiply by L and by U, in full precision on every device."""
        if self.is_mutable_collection("params") and not self.is_initializing():
            self._whiten(x, axis_name)
        lower, upper = self.matrices()
        matrix = jnp.matmul(lower, upper, precision=jax.lax.Precision.HIGHEST)
        z = jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
        return z, self._log_det(x)

    def inverse(self, z, context=None):
        """Solve the two triangular systems."""
        lower, upper = self.matrices()
        y = jax.scipy.linalg.solve_triangular(upper, z.T, trans=1)
        x = jax.scipy.linalg.solve_triangular(lower, y, trans=1, lower=True, unit_diagonal=True).T
        return x, -self._log_det(z)

    def _log_det(self, x: Float[Array, "n dims"]) -> Float[Array, " n"]:
        return jnp.broadcast_to(jnp.sum(self.get_variable("params", "log_diagonal")), x.shape[:1])
