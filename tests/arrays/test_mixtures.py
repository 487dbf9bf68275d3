"""Mixtures and their quantiles."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats
from scipy.special import log_ndtr

from realnvp_jax.mixtures import (
    BASES,
    COMPONENTS,
    _initial,
    mixture_forward,
    mixture_inverse,
    num_parameters,
)
from realnvp_jax.normal_tails import log_normal_tails, normal_quantile

KEY = jax.random.key(0)
forward = jax.jit(mixture_forward, static_argnums=(2, 3))
inverse = jax.jit(mixture_inverse, static_argnums=(2, 3))


mixtures = pytest.mark.parametrize(("component", "base"), [(c, b) for c in COMPONENTS for b in BASES])


def latents(base: str, num: int) -> jax.Array:
    sampler = jax.random.uniform if base == "uniform" else jax.random.normal
    return sampler(jax.random.key(1), (num,))


@mixtures
@pytest.mark.parametrize("num_components", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_a_mixture_is_invertible_and_knows_its_derivative(component, base, num_components, x64):
    raw = 2 * jax.random.normal(KEY, (300, num_parameters(num_components)))
    z = latents(base, 300)
    x, inverse_log_derivative = inverse(z, raw, component, base)
    back, log_derivative = forward(x, raw, component, base)
    np.testing.assert_allclose(back, z, atol=1e-11)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, atol=1e-9)
    slopes = jax.jit(jax.vmap(jax.grad(lambda x, raw: forward(x, raw, component, base)[0])))(x, raw)
    np.testing.assert_allclose(log_derivative, jnp.log(slopes), atol=1e-7)
    one_by_one = jax.jit(jax.vmap(lambda z, raw: inverse(z, raw, component, base)[0]))(z[:20], raw[:20])
    np.testing.assert_allclose(one_by_one, x[:20], atol=1e-11)


def test_the_density_is_that_of_the_mixture(x64):
    """Two components, written out."""
    raw = jnp.array([[0.3, -0.4, 1.0, -1.5, 0.2, -0.1]])
    x = jnp.linspace(-4, 4, 50)
    z, log_density = forward(x, jnp.broadcast_to(raw, (50, 6)), "gaussian", "uniform")
    quantile = stats.norm.ppf(0.75)  # means start at the quartiles, scales such that the variance is 1
    weights = jax.nn.softmax(raw[0, :2])
    means = np.array([1 - quantile, -1.5 + quantile])
    scales = np.exp(8 * np.tanh(raw[0, 4:] / 8)) * np.sqrt(1 - quantile**2)
    density = sum(w * stats.norm.pdf(x, m, s) for w, m, s in zip(weights, means, scales, strict=True))
    distribution = sum(w * stats.norm.cdf(x, m, s) for w, m, s in zip(weights, means, scales, strict=True))
    np.testing.assert_allclose(log_density, jnp.log(density), atol=1e-9)
    np.testing.assert_allclose(z, distribution, atol=1e-9)


@pytest.mark.parametrize(("component", "variance"), [("gaussian", 1.0), ("logistic", np.pi**2 / 3)])
@pytest.mark.parametrize("num_components", [1, 2, pytest.param(12, marks=pytest.mark.slow)])
def test_a_mixture_starts_at_mean_0_and_its_components_own_variance(component, variance, num_components, x64):
    x = jnp.linspace(-60, 60, 200_001)
    raw = jnp.zeros((len(x), num_parameters(num_components)))
    density = jnp.exp(forward(x, raw, component, "uniform")[1]) * (x[1] - x[0])
    np.testing.assert_allclose(density.sum(), 1, atol=1e-6)  # and the probabilities of a fine grid sum to 1
    np.testing.assert_allclose((density * x).sum(), 0, atol=1e-6)
    np.testing.assert_allclose((density * x**2).sum(), variance, rtol=1e-6)


@pytest.mark.parametrize("base", BASES)
def test_one_component_is_the_normal_distribution_itself(base, x64):
    x = jnp.linspace(-9, 9, 201)
    z, log_derivative = forward(x, jnp.zeros((201, 3)), "gaussian", base)
    expected, log_prob = (stats.norm.cdf(x), stats.norm.logpdf(x)) if base == "uniform" else (x, 0)
    np.testing.assert_allclose(z, expected, atol=1e-9)
    np.testing.assert_allclose(log_derivative, log_prob, atol=1e-9)


def test_the_normal_quantile_in_both_tails(x64):
    from scipy.special import ndtri_exp

    quantile = jax.jit(normal_quantile)
    log_odds = np.concatenate([np.linspace(-3000, 3000, 1001), np.linspace(-30, 30, 1001)])
    expected = -np.sign(log_odds) * ndtri_exp(-np.logaddexp(0, np.abs(log_odds)))
    np.testing.assert_allclose(quantile(jnp.asarray(log_odds)), expected, rtol=1e-9, atol=1e-9)
    in_single = quantile(jnp.asarray(log_odds, jnp.float32))
    np.testing.assert_allclose(in_single, expected, rtol=1e-5, atol=1e-6)
    far = np.geomspace(1e3, 1e35, 1001).astype(np.float32)  # there z^2 is 2 |log-odds|, and its slope 1 / |z|
    far = jnp.concatenate([-far, far])
    z, slope = jax.jit(jax.vmap(jax.value_and_grad(normal_quantile)))(far)
    np.testing.assert_allclose(z * jnp.abs(z), 2 * far, rtol=0.02)
    np.testing.assert_allclose(slope * jnp.abs(z), 1, rtol=2e-3)


@mixtures
def test_far_points_have_finite_densities_and_gradients_in_float32(component, base):
    far = np.geomspace(50, 1e20, 100).astype(np.float32)
    x = jnp.concatenate([jnp.array([-50.0, 50.0]), -far, far])
    raw = jax.random.normal(KEY, (len(x), num_parameters(5)))

    def log_prob(x, raw):
        z, log_derivative = forward(x, raw, component, base)
        return jnp.sum(log_derivative + (0 if base == "uniform" else stats.norm.logpdf(z)))

    value, gradient = jax.jit(jax.value_and_grad(log_prob, (0, 1)))(x, raw)
    chex.assert_tree_all_finite((value, gradient))
    assert (gradient[0] * x <= 0).all()  # towards the data
    assert (gradient[0] * x < 0)[jnp.abs(x) < 1e12].all()
    with jax.enable_x64(True):
        exact = jax.jit(jax.vmap(log_prob))(x[:2].astype(jnp.float64), raw[:2].astype(jnp.float64))
    single = jax.jit(jax.vmap(log_prob))(x[:2], raw[:2])
    np.testing.assert_allclose(single, exact, rtol=1e-5)


def test_small_latents_have_quantiles_of_their_own():
    x = jnp.array([-12.0, -9.0, -7.0, -5.5, 0.0, 4.0])
    raw = jnp.zeros((6, 3))
    z, log_derivative = forward(x, raw, "gaussian", "uniform")
    back, inverse_log_derivative = inverse(z, raw, "gaussian", "uniform")
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, rtol=1e-3)


def test_random_mixtures_have_probability_one(x64):
    x = jnp.linspace(-300, 300, 600_001)
    for seed in range(3):
        raw = jnp.broadcast_to(jax.random.normal(jax.random.key(seed), (num_parameters(4),)), (len(x), 12))
        density = jnp.exp(forward(x, raw, COMPONENTS[seed % 2], "uniform")[1])
        np.testing.assert_allclose(density.sum() * (x[1] - x[0]), 1, atol=1e-6)


def test_the_inverse_at_the_ends_of_the_square():
    raw = jax.random.normal(KEY, (4, num_parameters(3)))
    x, log_derivative = inverse(jnp.array([0.0, 1.0, -0.1, 1.1]), raw, "gaussian", "uniform")
    assert np.isfinite(x[:2]).all()
    assert np.isfinite(log_derivative[:2]).all()
    assert np.isnan(x[2:]).all()


@pytest.mark.parametrize(
    ("component", "base"),
    [
        (component, base) if component == "logistic" else pytest.param(component, base, marks=pytest.mark.slow)
        for component in COMPONENTS
        for base in BASES
    ],
)
def test_the_inverse_is_differentiable(component, base, x64):
    raw = jax.random.normal(KEY, (5, num_parameters(3)))
    z = latents(base, 5)

    def quantile(z, raw):
        return inverse(jnp.asarray(z), jnp.asarray(raw), component, base)

    jax.test_util.check_grads(quantile, (z, raw), order=1)


def test_the_search_ends_for_components_of_very_different_scales():
    """Two sharp modes far apart, and one that is very wide."""
    raw = jnp.broadcast_to(jnp.array([[0.0, 0.0, -3.0, -40.0, 40.0, 0.0, -7.0, -7.0, 7.0]]), (1001, 9))
    z = jnp.linspace(1e-4, 1 - 1e-4, 1001)
    x, _ = inverse(z, raw, "gaussian", "uniform")
    assert (jnp.diff(x) >= 0).all()
    back, log_density = forward(x, raw, "gaussian", "uniform")
    resolution = np.spacing(np.abs(x)) * np.exp(log_density)  # of x, seen through the steep CDF
    np.testing.assert_array_less(np.abs(back - z), 1e-6 + 2 * resolution)


@pytest.mark.parametrize(("double", "tolerance"), [(False, 1e-5), (True, 1e-12)])
def test_the_tails_of_the_normal_and_two_derivatives(double, tolerance):
    u = np.concatenate([np.linspace(-12, 12, 241), [-40, 40]])
    log_below, log_above = log_ndtr(u), log_ndtr(-u)
    slope = np.exp(-0.5 * u**2 - 0.5 * np.log(2 * np.pi) - log_below)
    with jax.enable_x64(double):
        values = jnp.asarray(u)
        found = log_normal_tails(values)
        np.testing.assert_allclose(found[0], log_below, rtol=tolerance, atol=1e-30)
        np.testing.assert_allclose(found[1], log_above, rtol=tolerance, atol=1e-30)
        derivative = jax.grad(lambda t: log_normal_tails(t)[0])
        np.testing.assert_allclose(jax.vmap(derivative)(values), slope, rtol=10 * tolerance, atol=1e-30)
        second = jax.vmap(jax.grad(derivative))(values)
        curvature = -slope * (u + slope)
        np.testing.assert_allclose(second, curvature, atol=100 * tolerance)
        np.testing.assert_allclose(derivative(jnp.asarray(-1e6)), 1e6, rtol=1e-5)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("are_equal", [False, True])
def test_derivatives_far_outside_the_mixture_are_those_of_float64(component, are_equal):
    raw = np.array([0.3, -0.2, 0.5, 0.1, 0.4, -0.3, 0.2, -0.1, 0.0])
    if are_equal:  # three times the same component
        raw = np.concatenate([np.zeros(3), -_initial(3, component)[0], np.zeros(3)])
    far = np.geomspace(1e2, 1e12, 11).astype(np.float32)
    x = np.concatenate([-far, far])

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, None))
    def derivatives(x, raw):
        (z, log_derivative), slope = jax.jvp(
            lambda x: mixture_forward(x, raw, component, "normal"), (x,), (jnp.ones_like(x),)
        )
        return z, log_derivative, jnp.log(slope[0])

    single = derivatives(jnp.asarray(x), jnp.asarray(raw, jnp.float32))
    with jax.enable_x64(True):
        double = derivatives(jnp.asarray(x, jnp.float64), jnp.asarray(raw))
    np.testing.assert_allclose(double[2], double[1], atol=1e-9)
    for value, expected in zip(single, double, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-4)


@mixtures
@pytest.mark.parametrize("num_components", [1, 2, 3])
def test_the_density_is_flat_at_the_centre_of_a_symmetric_mixture(component, base, num_components, x64):
    raw = jnp.zeros(num_parameters(num_components))

    def log_prob(x, raw):
        z, log_derivative = mixture_forward(x, raw, component, base)
        return log_derivative + (0 if base == "uniform" else stats.norm.logpdf(z))

    slope, by_raw = jax.grad(log_prob, (0, 1))(jnp.zeros(()), raw)
    np.testing.assert_allclose(slope, 0, atol=1e-12)
    np.testing.assert_allclose(by_raw[num_components : 2 * num_components].sum(), 0, atol=1e-12)  # by all means
    if num_components == 1:
        curvature = jax.grad(jax.grad(log_prob))(jnp.zeros(()), raw)
        np.testing.assert_allclose(curvature, -1 if component == "gaussian" else -0.5, atol=1e-9)
    np.testing.assert_allclose(jax.grad(jax.grad(normal_quantile))(jnp.zeros(())), 0, atol=1e-12)
