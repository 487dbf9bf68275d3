"""Monotonic rational-quadratic splines (Durkan et al., Neural Spline Flows, 2019, Section 3).

A spline maps [-B, B] onto itself through K + 1 knots (x_k, y_k) with slopes d_k, d_0 = d_K = 1, and is the identity
outside. Between two knots, with w = x_{k+1} - x_k, h = y_{k+1} - y_k, s = h / w and xi = (x - x_k) / w,

    y = y_k + h (s xi^2 + d_k xi (1 - xi)) / (s + (d_k + d_{k+1} - 2 s) xi (1 - xi))
    dy/dx = s^2 (d_{k+1} xi^2 + 2 s xi (1 - xi) + d_k (1 - xi)^2) / (s + (d_k + d_{k+1} - 2 s) xi (1 - xi))^2

Its inverse is the root of a quadratic equation. The 3 K - 1 raw parameters of an element are K logits of the widths,
K of the heights and K - 1 slopes before a softplus; where all are zero the spline is the identity.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALLEST_SHARE = 1e-3  # smallest share of a bin in the total width or height
_SMALLEST_SLOPE = 1e-3


def num_parameters(num_bins: int) -> int:
    """Number of raw parameters of one element's spline."""
    return 3 * num_bins - 1


def _knots(logits: Float[Array, "*n bins"], bound: float) -> tuple[Array, Array]:
    """(positions of the left ends of the bins, sizes of the bins)."""
    num_bins = logits.shape[-1]
    shares = _SMALLEST_SHARE + (1 - num_bins * _SMALLEST_SHARE) * jax.nn.softmax(logits)
    sizes = 2 * bound * shares
    ends = jnp.cumsum(sizes[..., :-1], axis=-1) - bound
    return jnp.concatenate([jnp.full_like(ends[..., :1], -bound), ends], axis=-1), sizes


def _bin(
    value: Float[Array, "*n"], raw: Float[Array, "*n parameters"], bound: float, *, by_height: bool
) -> tuple[Array, ...]:
    """(x_k, w, y_k, h, d_k, d_{k+1}) of the bin that holds `value`, an x or a y."""
    num_bins = (raw.shape[-1] + 1) // 3
    lefts, widths = _knots(raw[..., :num_bins], bound)
    bottoms, heights = _knots(raw[..., num_bins : 2 * num_bins], bound)
    slope_at_zero = math.log(math.expm1(1 - _SMALLEST_SLOPE))
    slopes = _SMALLEST_SLOPE + jax.nn.softplus(raw[..., 2 * num_bins :] + slope_at_zero)
    ends = jnp.ones_like(slopes[..., :1])
    starts = bottoms if by_height else lefts
    index = jnp.sum(value[..., None] >= starts[..., 1:], axis=-1)
    chosen = jax.nn.one_hot(index, num_bins, dtype=raw.dtype)

    def pick(values: Array) -> Array:
        return jnp.sum(chosen * values, axis=-1)

    left_slopes = jnp.concatenate([ends, slopes], axis=-1)
    right_slopes = jnp.concatenate([slopes, ends], axis=-1)
    return pick(lefts), pick(widths), pick(bottoms), pick(heights), pick(left_slopes), pick(right_slopes)


def _log_derivative(xi: Array, s: Array, left: Array, right: Array) -> Array:
    """Log dy/dx at the relative position xi of a bin with mean slope s and slopes at its ends."""
    numerator = right * xi**2 + 2 * s * xi * (1 - xi) + left * (1 - xi) ** 2
    denominator = s + (left + right - 2 * s) * xi * (1 - xi)
    return 2 * jnp.log(s) + jnp.log(numerator) - 2 * jnp.log(denominator)


def spline_forward(
    x: Float[Array, "*n"], raw: Float[Array, "*n parameters"], bound: float
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(y, log dy/dx), elementwise.

    Args:
      x: values; those outside [-bound, bound] are returned unchanged.
      raw: `num_parameters` values for each element.
      bound: B.
    """
    inside = jnp.abs(x) < bound
    x_inside = jnp.where(inside, x, 0)
    left, width, bottom, height, left_slope, right_slope = _bin(x_inside, raw, bound, by_height=False)
    s = height / width
    xi = jnp.clip((x_inside - left) / width, 0, 1)
    numerator = height * (s * xi**2 + left_slope * xi * (1 - xi))
    y = bottom + numerator / (s + (left_slope + right_slope - 2 * s) * xi * (1 - xi))
    log_derivative = _log_derivative(xi, s, left_slope, right_slope)
    return jnp.where(inside, y, x), jnp.where(inside, log_derivative, 0)


def spline_inverse(
    y: Float[Array, "*n"], raw: Float[Array, "*n parameters"], bound: float
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(x, log dx/dy), elementwise: the inverse of `spline_forward`."""
    inside = jnp.abs(y) < bound
    y_inside = jnp.where(inside, y, 0)
    left, width, bottom, height, left_slope, right_slope = _bin(y_inside, raw, bound, by_height=True)
    s = height / width
    rise = jnp.clip(y_inside - bottom, 0, height)
    bend = left_slope + right_slope - 2 * s
    a = height * (s - left_slope) + rise * bend
    b = height * left_slope - rise * bend
    c = -s * rise
    root = jnp.sqrt(jnp.maximum(b**2 - 4 * a * c, 0))
    xi = jnp.clip(2 * c / (-b - root), 0, 1)
    x = left + xi * width
    log_derivative = -_log_derivative(xi, s, left_slope, right_slope)
    return jnp.where(inside, x, y), jnp.where(inside, log_derivative, 0)
