"""The standard normal distribution far in its tails, where probabilities underflow.

Everything goes through the Mills ratio Phi(z) / phi(z), which Laplace's continued fraction gives to all digits in the
tails.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

_FRACTIONS = 16  # of Laplace's continued fraction, exact to rounding beyond 3 in float32, and beyond 6 in float64


def log_normal(u: Array) -> Array:
    """The log-density, log phi(u)."""
    return -0.5 * jnp.square(u) - 0.5 * np.log(2 * np.pi)


def mills_ratio(z: Array) -> Array:
    """Phi(z) / phi(z) for z <= 0.

    In the tail by Laplace's continued fraction, 1 / (t + 1 / (t + 2 / (t + ...))), t = -z, which needs no difference of
    large logarithms, and no erfc, which ONNX lacks.
    """
    tail = -6.0 if z.dtype == jnp.float64 else -3.0
    near, t = jnp.where(z < tail, tail, z), -jnp.where(z < tail, z, tail)
    fraction = t
    for k in range(_FRACTIONS, 0, -1):
        fraction = t + k / fraction
    return jnp.where(z < tail, 1 / fraction, ndtr(near) * jnp.exp(-log_normal(near)))


@jax.custom_jvp
def log_normal_tails(u: Array) -> tuple[Array, Array]:
    """(log Phi(u), log Phi(-u))."""
    lower = jnp.where(u < 0, u, -u)  # unlike -|u|, it has a derivative at 0
    log_lower = log_normal(lower) + jnp.log(mills_ratio(lower))
    log_upper = jnp.log1p(-jnp.exp(log_lower))
    return jnp.where(u < 0, log_lower, log_upper), jnp.where(u < 0, log_upper, log_lower)


@log_normal_tails.defjvp
def _log_normal_tails_jvp(primals, tangents):
    """phi(u) / Phi(u) and -phi(u) / Phi(-u): in the tail, the inverse of the Mills ratio, whose digits remain."""
    (u,), (tangent,) = primals, tangents
    log_below, log_above = log_normal_tails(u)
    in_tail = 1 / mills_ratio(jnp.where(u < 0, u, -u))
    in_bulk = jnp.exp(log_normal(u) - jnp.where(u < 0, log_above, log_below))
    below, above = jnp.where(u < 0, in_tail, in_bulk), jnp.where(u < 0, in_bulk, in_tail)
    return (log_below, log_above), (below * tangent, -above * tangent)


@jax.custom_jvp
def normal_quantile(log_odds: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """Phi^-1(p) from log p - log(1 - p): exact in both tails, where p itself is 0 or 1 in floating point.

    Newton's method starts from equation 26.2.23 of Abramowitz and Stegun, which is at most 4.5e-4 off. `ndtri` would
    underflow in the tails, and since JAX 0.12 it consists of operations that ONNX lacks.
    """
    log_p = jax.nn.log_sigmoid(-jnp.abs(log_odds))
    t = jnp.sqrt(-2 * log_p)
    z = ((0.010328 * t + 0.802853) * t + 2.515517) / (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1) - t
    for _ in range(3):  # Newton steps on log Phi, which is concave
        ratio = mills_ratio(z)
        z = z - (log_normal(z) + jnp.log(ratio) - log_p) * ratio
    return jnp.where(log_odds < 0, z, -z)


@normal_quantile.defjvp
def _normal_quantile_jvp(primals, tangents):
    """dz/dl = p (1 - p) / phi(z)."""
    (log_odds,), (tangent,) = primals, tangents
    z = normal_quantile(log_odds)
    is_left = log_odds < 0  # z may round to the other side of 0
    larger = jax.nn.sigmoid(jnp.where(is_left, -log_odds, log_odds))
    return z, larger * mills_ratio(jnp.where(is_left, z, -z)) * tangent
