"""Rational-quadratic splines."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.splines import num_parameters, spline_forward, spline_inverse

KEY = jax.random.key(0)
forward = jax.jit(spline_forward, static_argnums=2)
inverse = jax.jit(spline_inverse, static_argnums=2)


def test_a_spline_is_monotonic_invertible_and_knows_its_derivative(x64):
    raw = 2 * jax.random.normal(KEY, (500, num_parameters(6)))
    x = jnp.linspace(-4, 4, 500)
    y, log_derivative = forward(x, raw, 3.0)
    back, inverse_log_derivative = inverse(y, raw, 3.0)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, atol=1e-9)
    slopes = jax.jit(jax.vmap(jax.grad(lambda x, raw: forward(x, raw, 3.0)[0])))(x, raw)
    np.testing.assert_allclose(log_derivative, jnp.log(slopes), atol=1e-9)
    outside = jnp.abs(x) > 3
    np.testing.assert_array_equal(y[outside], x[outside])
    one = jnp.broadcast_to(raw[0], raw.shape)
    assert (jnp.diff(forward(x, one, 3.0)[0]) > 0).all()


def test_a_spline_of_zeros_is_the_identity_and_its_ends_are_fixed(x64):
    x = jnp.linspace(-3, 3, 61)
    y, log_derivative = forward(x, jnp.zeros((61, num_parameters(5))), 2.0)
    np.testing.assert_allclose(y, x, atol=1e-12)
    np.testing.assert_allclose(log_derivative, 0, atol=1e-12)
    near = jnp.array([-2 + 1e-9, 2 - 1e-9])
    bent, _ = forward(near, jax.random.normal(KEY, (2, num_parameters(5))), 2.0)
    np.testing.assert_allclose(bent, near, atol=1e-7)


@pytest.mark.parametrize("num_bins", [5, 8])
@pytest.mark.parametrize("spline", [forward, inverse], ids=["forward", "inverse"])
def test_gradients_at_knots_and_midpoints_are_those_beside_them(spline, num_bins, x64):
    values = jnp.linspace(-2, 2, 2 * num_bins + 1)[1:-1]  # knots and midpoints of a spline of zeros
    raw = jnp.zeros((len(values), num_parameters(num_bins)))
    slopes = jax.jit(jax.grad(lambda values: spline(values, raw, 2.0)[0].sum()))(values)
    np.testing.assert_allclose(slopes, 1, atol=1e-12)
    direction = jax.random.normal(KEY, raw.shape)
    by_raw = jax.jit(lambda raw: jax.jvp(lambda raw: spline(values, raw, 2.0)[0], (raw,), (direction,))[1])(raw)
    ahead, behind = (spline(values, step * direction, 2.0)[0] for step in (1e-6, -1e-6))
    np.testing.assert_allclose(by_raw, (ahead - behind) / 2e-6, atol=1e-6)


def test_a_spline_in_float32_has_finite_gradients_everywhere():
    raw = 30 * jax.random.normal(KEY, (300, num_parameters(8)))
    x = jnp.concatenate([jnp.linspace(-6, 6, 298), jnp.array([-5.0, 5.0])])

    def total(x, raw):
        y, log_derivative = forward(x, raw, 5.0)
        back, _ = inverse(y, raw, 5.0)
        return jnp.sum(y + log_derivative + back)

    chex.assert_tree_all_finite(jax.jit(jax.grad(total, argnums=(0, 1)))(x, raw))


@pytest.mark.parametrize("size", [1, 5, 30])
def test_a_spline_in_float32_is_inverted_as_exactly_as_its_values_allow(size):
    """The x that the inverse finds has the y that it was given, to within rounding, however flat the spline is."""
    raw = size * jax.random.normal(KEY, (3000, num_parameters(8)))
    x = jax.random.uniform(jax.random.key(1), (3000,), minval=-5, maxval=5)
    y, log_derivative = forward(x, raw, 5.0)
    back, _ = inverse(y, raw, 5.0)
    again, _ = forward(back, raw, 5.0)
    steepest = np.maximum(np.exp(log_derivative), 1)  # what the rounding of x itself does to y
    assert np.max(np.abs(again - y) / steepest) < 4e-6
    amplified = np.exp(-np.asarray(log_derivative)) * 1e-6  # what the rounding of y itself does to x
    assert np.mean(np.abs(back - x) < 10 * amplified + 1e-5) > 0.97


@pytest.mark.parametrize("x", [0.3, 7.0, np.nan])
def test_nan_in_a_spline_gives_nan_everywhere(x):
    raw = jnp.zeros((1, num_parameters(4)))
    for missing in (raw.at[0, 0].set(jnp.nan), raw.at[0, -1].set(jnp.nan)):
        for spline in (forward, inverse):
            assert np.isnan(spline(jnp.array([x]), missing, 5.0)).all()
    if np.isnan(x):
        assert np.isnan(forward(jnp.array([x]), raw, 5.0)).all()
