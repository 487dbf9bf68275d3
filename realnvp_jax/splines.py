"""Monotonic rational-quadratic splines (Durkan et al., Neural Spline Flows, 2019, Section 3).

A spline maps [-B, B] onto itself through K + 1 knots (x_k, y_k) with slopes d_k, d_0 = d_K = 1, and is the identity
outside. Between two knots, with w = x_{k+1} - x_k, h = y_{k+1} - y_k, s = h / w, xi = (x - x_k) / w and
eta = (x_{k+1} - x) / w = 1 - xi,

    y - y_k = h xi (s xi + d_k eta) / D,    y_{k+1} - y = h eta (s eta + d_{k+1} xi) / D
    dy/dx   = s^2 (d_{k+1} xi^2 + 2 s xi eta + d_k eta^2) / D^2
    D       = s (xi^2 + eta^2) + (d_k + d_{k+1}) xi eta

With theta = (y - y_k) / h and phi = (y_{k+1} - y) / h = 1 - theta, the inverse is the positive root of

    phi u^2 + b u - theta = 0,    u = xi / eta,    b = (phi d_k - theta d_{k+1}) / s.

In this form all terms but those of b are positive, so that nothing cancels, and both directions measure distances from
the nearer knot. What is left of rounding errors is what the slopes themselves amplify.

The 3 K - 1 raw parameters of an element are K logits of the widths, K of the heights and K - 1 slopes before a
softplus; where all are zero the spline is the identity.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SMALLEST_SHARE = 1e-3  # smallest share of a bin in the total width or height
_SMALLEST_SLOPE = 1e-3


def num_parameters(num_bins: int) -> int:
    """Number of raw parameters of one element's spline."""
    return 3 * num_bins - 1


def _knots(logits: Float[Array, "*n bins"], bound: float) -> Float[Array, "*n knots"]:
    """Positions of the K + 1 knots. Bins are what lies between two of them, so that there are no gaps or overlaps."""
    num_bins = logits.shape[-1]
    shares = _SMALLEST_SHARE + (1 - num_bins * _SMALLEST_SHARE) * jax.nn.softmax(logits)
    inner = jnp.cumsum(2 * bound * shares[..., :-1], axis=-1) - bound
    end = jnp.full_like(inner[..., :1], bound)
    return jnp.concatenate([-end, inner, end], axis=-1)


class _Bin(NamedTuple):
    """The bin that holds a value: its knots, and the slopes at them in units of the mean slope."""

    left: Array
    right: Array
    bottom: Array
    top: Array
    left_slope: Array
    right_slope: Array

    @property
    def width(self) -> Array:
        """W."""
        return self.right - self.left

    @property
    def height(self) -> Array:
        """H."""
        return self.top - self.bottom


def _bin(value: Float[Array, "*n"], raw: Float[Array, "*n parameters"], bound: float, *, by_height: bool) -> _Bin:
    """The bin that holds `value`, an x or a y."""
    num_bins = (raw.shape[-1] + 1) // 3
    xs = _knots(raw[..., :num_bins], bound)
    ys = _knots(raw[..., num_bins : 2 * num_bins], bound)
    slope_at_zero = math.log(math.expm1(1 - _SMALLEST_SLOPE))
    inner = _SMALLEST_SLOPE + jax.nn.softplus(raw[..., 2 * num_bins :] + slope_at_zero)
    ends = jnp.ones_like(inner[..., :1])
    slopes = jnp.concatenate([ends, inner, ends], axis=-1)
    index = jnp.sum(value[..., None] >= (ys if by_height else xs)[..., 1:-1], axis=-1)
    chosen = jax.nn.one_hot(index, num_bins, dtype=raw.dtype)

    def pick(values: Array) -> tuple[Array, Array]:
        """The values at the two knots of the bin."""
        return jnp.sum(chosen * values[..., :-1], axis=-1), jnp.sum(chosen * values[..., 1:], axis=-1)

    (left, right), (bottom, top) = pick(xs), pick(ys)
    inverse_slope = (right - left) / (top - bottom)
    left_slope, right_slope = pick(slopes)
    return _Bin(left, right, bottom, top, left_slope * inverse_slope, right_slope * inverse_slope)


def _log_derivative(xi: Array, eta: Array, at: _Bin) -> Array:
    """Log dy/dx at the relative distances xi and eta from the ends of a bin."""
    numerator = at.right_slope * xi**2 + 2 * xi * eta + at.left_slope * eta**2
    return jnp.log(at.height / at.width) + jnp.log(numerator) - 2 * jnp.log(_denominator(xi, eta, at))


def _denominator(xi: Array, eta: Array, at: _Bin) -> Array:
    """D / s."""
    return xi**2 + eta**2 + (at.left_slope + at.right_slope) * xi * eta


def _result(value: Array, inside: Array, result: Array, log_derivative: Array, raw: Array) -> tuple[Array, Array]:
    """The identity outside of the bins; NaN where the value or a parameter is NaN, which no comparison holds for."""
    missing = jnp.where(jnp.isnan(value) | jnp.isnan(raw).any(axis=-1), jnp.nan, jnp.zeros_like(value))
    return jnp.where(inside, result, value) + missing, jnp.where(inside, log_derivative, 0) + missing


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
    at = _bin(x_inside, raw, bound, by_height=False)
    xi, eta = (x_inside - at.left) / at.width, (at.right - x_inside) / at.width
    scale = at.height / _denominator(xi, eta, at)
    from_bottom = at.bottom + scale * xi * (xi + at.left_slope * eta)
    from_top = at.top - scale * eta * (eta + at.right_slope * xi)
    y = jnp.where(xi < eta, from_bottom, from_top)
    y = jnp.where(y < at.bottom, at.bottom, jnp.where(y > at.top, at.top, y))  # at a tie, clip halves the gradient
    return _result(x, inside, y, _log_derivative(xi, eta, at), raw)


def spline_inverse(
    y: Float[Array, "*n"], raw: Float[Array, "*n parameters"], bound: float
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(x, log dx/dy), elementwise: the inverse of `spline_forward`."""
    inside = jnp.abs(y) < bound
    y_inside = jnp.where(inside, y, 0)
    at = _bin(y_inside, raw, bound, by_height=True)
    theta, phi = (y_inside - at.bottom) / at.height, (at.top - y_inside) / at.height
    b = phi * at.left_slope - theta * at.right_slope
    root = jnp.sqrt(b**2 + 4 * theta * phi)
    numerator = jnp.where(b > 0, 2 * theta, root - b)  # u is numerator / denominator
    denominator = jnp.where(b > 0, root + b, 2 * phi)
    xi, eta = numerator / (numerator + denominator), denominator / (numerator + denominator)
    x = jnp.where(xi < eta, at.left + xi * at.width, at.right - eta * at.width)
    return _result(y, inside, x, -_log_derivative(xi, eta, at), raw)
