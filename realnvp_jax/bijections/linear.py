"""Linear maps: NICE's diagonal scaling, and learned invertible matrices that mix channels.

A learned matrix is W = P L U, with a fixed permutation P, a unit lower triangular L and an upper triangular U with the
diagonal exp(log_diagonal), so that log |det W| = sum(log_diagonal). (Kingma and Dhariwal, Glow, 2018,
Section 3.2.) It acts on the last axis; on images it acts on every position alike, as an invertible 1x1 convolution.
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.mode import EVALUATE
from realnvp_jax.registry import register

CONSTANTS = "constants"  # the collection of numbers that are drawn once and not trained
_SMALLEST_STD = 1e-6  # standardized data count as constant in directions with less


class DiagonalScaling(Bijection):
    """z = exp(log_scale) x, with a trainable log_scale for each element (NICE, Section 3.3).

    log |det| = sum(log_scale).
    """

    is_elementwise = True

    @nn.compact
    def _log_scale(self, x: Float[Array, "n *event"]) -> Float[Array, "one *event"]:
        return self.param("log_scale", nn.initializers.zeros, x.shape[1:])[None]

    def forward(self, x, context=None, mode=EVALUATE):
        """Scale."""
        log_scale = self._log_scale(x)
        return x * jnp.exp(log_scale), jnp.broadcast_to(jnp.sum(log_scale), x.shape[:1])

    def inverse(self, z, context=None):
        """Undo the scaling."""
        log_scale = self._log_scale(z)
        return z * jnp.exp(-log_scale), jnp.broadcast_to(-jnp.sum(log_scale), z.shape[:1])


class Factors(NamedTuple):
    """A matrix P L U.

    Attributes:
      permutation: indices of the channels in their new order, or None.
      lower: L.
      upper: U.
      log_det: log |det L U|.
    """

    permutation: Int[Array, " dims"] | None
    lower: Float[Array, "dims dims"]
    upper: Float[Array, "dims dims"]
    log_det: Float[Array, ""]


class Linear(Bijection):
    """z = x P L U on the last axis: base class of the learned matrices."""

    permutes = False  # whether P is not the identity

    def factors(self, channels: int) -> Factors:
        """The factors of the matrix."""
        if self.is_initializing():  # not by `param`, which draws from another key for each of the factors
            for name, value in self._initial(channels).items():
                self.put_variable(CONSTANTS if name == "places" else "params", name, value)

        def free(name: str) -> Array:
            return self.get_variable("params", name)

        log_diagonal = free("log_diagonal")
        lower = jnp.eye(channels, dtype=log_diagonal.dtype).at[np.tril_indices(channels, -1)].set(free("lower"))
        upper = jnp.diag(jnp.exp(log_diagonal)).at[np.triu_indices(channels, 1)].set(free("upper"))
        permutation = jnp.argsort(self.get_variable(CONSTANTS, "places")) if self.permutes else None
        return Factors(permutation, lower, upper, jnp.sum(log_diagonal))

    def _initial(self, channels: int) -> dict[str, Array]:
        """The factors of the identity."""
        count, dtype = math.comb(channels, 2), jnp.result_type(float)
        return {
            "lower": jnp.zeros(count, dtype),
            "upper": jnp.zeros(count, dtype),
            "log_diagonal": jnp.zeros(channels, dtype),
        }

    def forward(self, x, context=None, mode=EVALUATE):
        """Multiply by P L U, in full precision on every device."""
        if mode.initializes:
            self._set_by(x, mode.axis_name)
        factors = self.factors(x.shape[-1])
        matrix = jnp.matmul(factors.lower, factors.upper, precision=jax.lax.Precision.HIGHEST)
        if factors.permutation is not None:
            matrix = matrix[jnp.argsort(factors.permutation)]  # not the columns of x: those are many more
        z = jnp.matmul(x, matrix, precision=jax.lax.Precision.HIGHEST)
        return z, per_example(factors.log_det, x)

    def inverse(self, z, context=None):
        """Solve the two triangular systems, and undo the permutation."""
        factors = self.factors(z.shape[-1])
        y = jax.scipy.linalg.solve_triangular(factors.upper, z.reshape(-1, z.shape[-1]).T, trans=1)
        x = jax.scipy.linalg.solve_triangular(factors.lower, y, trans=1, lower=True, unit_diagonal=True).T
        x = x.reshape(z.shape)
        if factors.permutation is not None:
            x = x[..., jnp.argsort(factors.permutation)]
        return x, -per_example(factors.log_det, z)

    def _set_by(self, x: Float[Array, "n *positions dims"], axis_name: str | None) -> None:
        """What an initialization pass does; by default nothing."""


@register("mixing", "lu")
class LearnedLinear(Linear):
    """A learned matrix that starts as the identity.

    With `flow.init(key, x)` it starts as the upper triangular matrix that gives the batch unit covariance (a flow of
    one such map is then the best Gaussian fit), unless the batch has too few examples or a singular covariance.
    """

    def _set_by(self, x, axis_name):
        """Set L to the identity and U to R^-1, where x - mean = Q R sqrt(n)."""
        x = x.reshape(-1, x.shape[-1])
        if axis_name is not None:
            x = jax.lax.all_gather(x, axis_name, tiled=True)
        num, channels = x.shape
        if num <= channels:
            return
        factor = jnp.linalg.qr((x - x.mean(axis=0, keepdims=True)) / np.sqrt(num), mode="r")
        factor = factor * jnp.where(jnp.diag(factor) < 0, -1, 1)[:, None]
        upper = jax.scipy.linalg.solve_triangular(factor, jnp.eye(channels, dtype=x.dtype))
        is_regular = jnp.min(jnp.diag(factor)) > _SMALLEST_STD
        upper = jnp.where(is_regular, upper, jnp.eye(channels, dtype=x.dtype))
        self.put_variable("params", "upper", upper[np.triu_indices(channels, 1)])
        self.put_variable("params", "log_diagonal", jnp.log(jnp.diag(upper)))
        self.put_variable("params", "lower", jnp.zeros(math.comb(channels, 2), x.dtype))


@register("mixing", "conv1x1")
class InvertibleConv(Linear):
    """A learned matrix that starts as a random rotation: Glow's invertible 1x1 convolution."""

    permutes = True

    def _initial(self, channels):
        """The factors of a random rotation."""
        permutation, lower, upper = jax.scipy.linalg.lu(random_rotation(self.make_rng("params"), channels))
        signs = jnp.sign(jnp.diag(upper))  # P (D L D) (D U) with D = diag(signs) is orthogonal, too
        lower, upper = signs[:, None] * lower * signs[None], signs[:, None] * upper
        return {
            "lower": lower[np.tril_indices(channels, -1)],
            "upper": upper[np.triu_indices(channels, 1)],
            "log_diagonal": jnp.log(jnp.diag(upper)),
            "places": jnp.argmax(permutation, axis=1).astype(lower.dtype),
        }


def random_rotation(key: Array, channels: int) -> Float[Array, "channels channels"]:
    """A random orthogonal matrix."""
    normal = jax.random.normal(key, (channels * channels,), jnp.result_type(float))
    return jnp.linalg.qr(normal.reshape(channels, channels))[0]


def per_example(log_det: Float[Array, ""], x: Float[Array, "n *positions dims"]) -> Float[Array, " n"]:
    """The log-determinant of a matrix that acts at every position."""
    return jnp.broadcast_to(math.prod(x.shape[1:-1]) * log_det, x.shape[:1])
