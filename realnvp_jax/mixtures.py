"""Mixtures of Gaussians or logistics as monotonic maps: through the mixture's CDF to a base distribution.

With weights w_k, means m_k and scales s_k, and C the CDF and c the density of the standard normal or logistic,

    F(x) = sum_k w_k C((x - m_k) / s_k),    f(x) = sum_k w_k c((x - m_k) / s_k) / s_k

    uniform base    z = F(x),              dz/dx = f(x)
    normal base     z = Phi^-1(F(x)),      dz/dx = f(x) / phi(z)

log f is a log-sum-exp, finite even far outside the mixture. The normal base and the inverse go through the log-odds
l = log F - log(1 - F), from the logarithms of both wherever the probabilities themselves would underflow. The inverse
searches x between the smallest and the largest of the components' own quantiles, which enclose it.

The 3 K raw parameters of an element are K logits of the weights, K means and K log-scales. They are differences from an
initial mixture with mean 0 and the variance of one component; for K = 1 this is the standard normal or logistic.
"""

import functools
import statistics

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, Float

from realnvp_jax.normal_tails import log_normal, log_normal_tails, mills_ratio, normal_quantile

COMPONENTS = ("gaussian", "logistic")
BASES = ("uniform", "normal")

_LARGEST_LOG_SCALE = 8.0  # smooth bound on the |log-scale| of a component
_FURTHEST = 1e18  # standard deviations from a component: float32 overflows on larger squares
_FAR_LOG_ODDS = 60.0  # beyond it, probabilities soon underflow in float32
_SEARCH_STEPS = 100  # upper bound: most elements need fewer than ten


def num_parameters(num_components: int) -> int:
    """Number of raw parameters of one element's mixture."""
    return 3 * num_components


@functools.cache
def _initial(num_components: int, component: str) -> tuple[np.ndarray, float]:
    """Means at equally probable quantiles of one component, and the log-scale that gives the mixture its variance."""
    odds = np.arange(1, num_components + 1) - 0.5
    logits = np.log(odds) - np.log(num_components - odds)
    if component == "logistic":
        means, variance = logits, np.pi**2 / 3
    else:
        normal = statistics.NormalDist()
        means, variance = np.array([normal.inv_cdf(p) for p in odds / num_components]), 1.0
    return means, float(0.5 * np.log(1 - np.mean(means**2) / variance))


def _mixture(raw: Float[Array, "*n parameters"], component: str) -> tuple[Array, Array, Array]:
    """(log-weights, means, log-scales), each [*n, K]."""
    logits, means, log_scales = jnp.split(raw, 3, axis=-1)
    initial_means, initial_log_scale = _initial(logits.shape[-1], component)
    initial_means = jnp.asarray(initial_means, raw.dtype).reshape((1,) * (raw.ndim - 1) + (-1,))
    log_scales = _LARGEST_LOG_SCALE * jnp.tanh(log_scales / _LARGEST_LOG_SCALE) + initial_log_scale
    return jax.nn.log_softmax(logits), means + initial_means, log_scales


@jax.custom_jvp
def _log_sigmoids(u: Array) -> tuple[Array, Array]:
    """(log sigmoid(u), log sigmoid(-u)), which share their transcendental functions."""
    log1p = jnp.log1p(jnp.exp(-jnp.abs(u)))
    return jnp.minimum(u, 0) - log1p, jnp.minimum(-u, 0) - log1p


@_log_sigmoids.defjvp
def _log_sigmoids_jvp(primals, tangents):
    """Each of the two sigmoids is the derivative of the other's logarithm."""
    (u,), (tangent,) = primals, tangents
    log_below, log_above = _log_sigmoids(u)
    return (log_below, log_above), (jnp.exp(log_above) * tangent, -jnp.exp(log_below) * tangent)


def _log_tails(u: Array, component: str) -> tuple[Array, Array]:
    """(log C(u), log C(-u))."""
    return _log_sigmoids(u) if component == "logistic" else log_normal_tails(u)


def _log_density(u: Array, component: str) -> Array:
    if component == "logistic":
        log_below, log_above = _log_sigmoids(u)
        return log_below + log_above
    return log_normal(u)


def _standardized(x: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str) -> tuple[Array, ...]:
    """(log w_k, (x - m_k) / s_k, log s_k)."""
    log_weights, means, log_scales = _mixture(raw, component)
    u = jnp.clip((x[..., None] - means) * jnp.exp(-log_scales), -_FURTHEST, _FURTHEST)
    return log_weights, u, log_scales


def _log_odds(x: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str) -> tuple[Array, Array]:
    """(l = log F - log(1 - F), log dl/dx = log(f / (F (1 - F)))) at x.

    With G the smaller of F and 1 - F, f / G is the mean of the hazards of the components, c / (C s_k), or
    c / ((1 - C) s_k) on the right, each weighted by the share of the component in G. Unlike log f - log G, it keeps its
    digits far outside the mixture.
    """
    log_weights, u, log_scales = _standardized(x, raw, component)
    below, above = _log_tails(u, component)
    log_below, log_above = (jax.nn.logsumexp(log_weights + tail, axis=-1) for tail in (below, above))
    is_left = log_below < log_above
    on_left = is_left[..., None]
    tail, rest = jnp.where(on_left, below, above), jnp.where(on_left, above, below)
    if component == "logistic":
        log_hazards = rest
    else:  # in its own tail, the hazard of a component is the inverse of the Mills ratio
        lower = jnp.where(u < 0, u, -u)
        log_hazards = jnp.where((u < 0) == on_left, -jnp.log(mills_ratio(lower)), log_normal(u) - tail)
    log_hazard = jax.nn.logsumexp(jax.nn.log_softmax(log_weights + tail) + log_hazards - log_scales, axis=-1)
    return log_below - log_above, log_hazard - jnp.where(is_left, log_above, log_below)


def mixture_forward(
    x: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str, base: str
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(z, log dz/dx), elementwise.

    Args:
      x: values.
      raw: `num_parameters` values for each element.
      component: gaussian or logistic.
      base: uniform or normal.
    """
    if base == "uniform":
        log_weights, u, log_scales = _standardized(x, raw, component)
        cdf = jax.nn.sigmoid(u) if component == "logistic" else ndtr(u)
        log_density = jax.nn.logsumexp(log_weights + _log_density(u, component) - log_scales, axis=-1)
        return jnp.clip(jnp.sum(jnp.exp(log_weights) * cdf, axis=-1), 0, 1), log_density
    log_odds, log_slope = _log_odds(x, raw, component)
    z = normal_quantile(log_odds)
    is_left = log_odds < 0  # z may round to the other side of 0
    log_larger = jax.nn.log_sigmoid(jnp.where(is_left, -log_odds, log_odds))
    return z, log_slope + log_larger + jnp.log(mills_ratio(jnp.where(is_left, z, -z)))


def mixture_inverse(
    z: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str, base: str
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(x, log dx/dz), elementwise: the inverse of `mixture_forward`.

    With the uniform base, z = 0 (to which random generators round) is replaced by half of the floating-point resolution
    at 1, and z = 1 by the next smaller number. Values outside [0, 1] have no inverse and give NaN. Differentiable by
    the implicit function theorem.
    """
    if base == "uniform":
        limits = jnp.finfo(z.dtype)
        inside = jnp.where(z == 0, limits.epsneg / 2, jnp.clip(z, limits.tiny, 1 - limits.epsneg))
        log_odds = jnp.where((z >= 0) & (z <= 1), jnp.log(inside) - jnp.log1p(-inside), jnp.nan)
    else:
        log_below, log_above = log_normal_tails(z)
        log_odds = log_below - log_above
    x = _quantile(log_odds, raw, component)
    _, log_derivative = mixture_forward(x, raw, component, base)
    return x, -log_derivative


def log_odds_forward(
    x: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(l, log dl/dx), elementwise, l = log F(x) - log(1 - F(x)). The arguments are those of `mixture_forward`."""
    return _log_odds(x, raw, component)


def log_odds_inverse(
    log_odds: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """(x, log dx/dl), elementwise: the inverse of `log_odds_forward`."""
    x = _quantile(log_odds, raw, component)
    return x, -_log_odds(x, raw, component)[1]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _quantile(log_odds: Float[Array, "*n"], raw: Float[Array, "*n parameters"], component: str) -> Float[Array, "*n"]:
    """The x at which the mixture has these log-odds."""
    log_weights, means, log_scales = _mixture(raw, component)
    weights, inverse_scales = jnp.exp(log_weights), jnp.exp(-log_scales)
    unit = log_odds if component == "logistic" else normal_quantile(log_odds)
    quantiles = means + jnp.exp(log_scales) * unit[..., None]
    low, high = quantiles.min(axis=-1), quantiles.max(axis=-1)
    smallest_scale = jnp.exp(log_scales.min(axis=-1))

    def from_logarithms(x):
        log_odds, log_slope = _log_odds(x, raw, component)
        return log_odds, jnp.exp(-log_slope)

    def from_probabilities(x):
        """The same for probabilities that do not underflow, with one transcendental function per component."""
        u = (x[..., None] - means) * inverse_scales
        tail = jax.nn.sigmoid(-jnp.abs(u)) if component == "logistic" else ndtr(-jnp.abs(u))
        is_left = u < 0
        below = jnp.sum(weights * jnp.where(is_left, tail, 1 - tail), axis=-1)
        above = jnp.sum(weights * jnp.where(is_left, 1 - tail, tail), axis=-1)
        unit_density = tail * (1 - tail) if component == "logistic" else jnp.exp(log_normal(u))
        density = jnp.sum(weights * unit_density * inverse_scales, axis=-1)
        tiny = jnp.finfo(x.dtype).tiny
        return jnp.log(jnp.maximum(below, tiny)) - jnp.log(jnp.maximum(above, tiny)), below * above / density

    def search(log_odds_and_step):
        return _search(log_odds_and_step, log_odds, low, high, smallest_scale)

    is_far = jnp.any(jnp.abs(log_odds) > _FAR_LOG_ODDS)
    return jax.lax.cond(is_far, lambda: search(from_logarithms), lambda: search(from_probabilities))


def _search(log_odds_and_step, log_odds: Array, low: Array, high: Array, smallest_scale: Array) -> Array:
    """The x in [low, high] with the given log-odds, by Newton's method within a bracket.

    A step that would leave the bracket, or is longer than half of the previous step, becomes a bisection.

    Args:
      log_odds_and_step: x -> (log-odds at x, dx by d log-odds).
      log_odds: the log-odds to reach.
      low: an x with log-odds that are lower or equal.
      high: an x with log-odds that are higher or equal.
      smallest_scale: smallest scale of a component, which sets the resolution of the search.
    """
    resolution = jnp.finfo(low.dtype).eps

    def is_going_on(state):
        count, _, _, _, _, is_done = state
        return (count < _SEARCH_STEPS) & ~is_done.all()

    def improve(state):
        count, low, high, x, step, is_done = state
        log_odds_here, newton_step = log_odds_and_step(x)
        excess = log_odds_here - log_odds
        low, high = jnp.where(excess < 0, x, low), jnp.where(excess < 0, high, x)
        newton = x - excess * newton_step
        is_good = (newton > low) & (newton < high) & (jnp.abs(newton - x) < 0.5 * jnp.abs(step))
        following = jnp.where(is_good, newton, low + 0.5 * (high - low))
        step = following - x
        is_done = is_done | (jnp.abs(step) <= resolution * (0.5 * jnp.abs(x) + smallest_scale))
        is_done = is_done | (jnp.abs(excess) <= 2 * resolution * (1 + jnp.abs(log_odds)))
        return count + 1, low, high, jnp.where(is_done, x, following), step, is_done

    middle = low + 0.5 * (high - low)
    is_done = ~(high > low)  # one component, or NaN
    state = jnp.zeros((), jnp.int32), low, high, middle, high - low, is_done
    return jax.lax.while_loop(is_going_on, improve, state)[3]


@_quantile.defjvp
def _quantile_jvp(component, primals, tangents):
    """From l(x; raw) = log_odds: dx = (d log_odds - dl/draw . draw) / (dl/dx)."""
    (log_odds, raw), (log_odds_tangent, raw_tangent) = primals, tangents
    x = _quantile(log_odds, raw, component)
    (_, log_slope), (by_raw, _) = jax.jvp(lambda raw: _log_odds(x, raw, component), (raw,), (raw_tangent,))
    return x, (log_odds_tangent - by_raw) * jnp.exp(-log_slope)
