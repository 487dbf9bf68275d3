"""Preprocessing and dequantization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.preprocessing import (
    Center,
    Identity,
    Logit,
    Rescale,
    add_uniform_noise,
    dequantize_each,
    floor_to_levels,
)


@pytest.mark.parametrize("preprocessing", [Identity(), Rescale(17), Logit(256, 0.05), Logit(4, 0.0)])
def test_preprocessing_inverts_and_knows_its_derivative(preprocessing, x64):
    x = jnp.linspace(0.1, 3.9, 9)
    y, log_derivative = preprocessing.forward(x)
    back, inverse_log_derivative = preprocessing.inverse(y)
    expected = jnp.log(jax.vmap(jax.grad(lambda v: preprocessing.forward(v)[0]))(x))
    np.testing.assert_allclose(log_derivative, expected, atol=1e-12)
    np.testing.assert_allclose(back, x, atol=1e-12)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, atol=1e-12)


@pytest.mark.parametrize("preprocessing", [Identity(), Center(17), Rescale(17), Logit(256, 0.05), Logit(4, 0.0)])
def test_the_support_contains_what_is_between_its_ends(preprocessing):
    low, high = preprocessing.support
    x = jnp.array([max(low, -1e9) - 1, max(low, -1e9) + 0.01, min(high, 1e9) - 0.01, min(high, 1e9) + 1])
    is_bounded = np.isfinite([low, high])
    np.testing.assert_array_equal(preprocessing.contains(x), [not is_bounded[0], True, True, not is_bounded[1]])


def test_the_support_of_the_logit_and_its_ends():
    logit = Logit(256, 0.05)
    ends = np.array([-0.05, 0.95]) / 0.9 * 256
    inside = jnp.array([ends[0] + 0.01, 0.0, 255.999, ends[1] - 0.01])
    assert logit.contains(inside).all()
    assert not logit.contains(jnp.array([ends[0] - 0.01, ends[1] + 0.01, jnp.nan])).any()
    extreme, _ = logit.inverse(jnp.array([-200.0, 200.0]))
    assert logit.contains(extreme).all()
    assert np.isfinite(logit.forward(extreme)[1]).all()


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_without_a_margin_dequantized_pixels_still_have_a_density(levels, monkeypatch):
    """Also if the generator returns its smallest and its largest number."""
    logit = Logit(levels, 0.0)
    assert not logit.contains(jnp.zeros(1))  # the support is open
    pixels = jnp.arange(levels)
    for noise in (0.0, np.nextafter(np.float32(1), np.float32(0))):
        monkeypatch.setattr(jax.random, "uniform", lambda key, shape, *_, noise=noise: jnp.full(shape, noise))
        x = add_uniform_noise(jax.random.key(0), pixels)
        np.testing.assert_array_equal(jnp.floor(x), pixels)
        assert logit.contains(x).all()
        assert np.isfinite(logit.forward(x)).all()


def test_a_logit_that_a_pixel_value_cannot_hold_is_called_coarse():
    logit = Logit(256, 0.05)
    y = jnp.linspace(-20, 20, 401)
    back, _ = logit.forward(logit.inverse(y)[0])
    coarse = logit.is_coarse(y)
    assert np.abs(back - y)[~coarse].max() < 1e-3
    assert np.abs(back - y)[coarse].max() > 1
    assert not coarse[np.abs(y) < 6].any()


def test_dequantized_pixels_floor_to_themselves(monkeypatch):
    largest = np.nextafter(np.float32(1), np.float32(0))
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, *args, **kwargs: jnp.full(shape, largest))
    pixels = np.arange(256, dtype=np.uint8)
    x = add_uniform_noise(jax.random.key(0), jnp.asarray(pixels))
    assert float(x.max()) < 256
    np.testing.assert_array_equal(jnp.floor(x), pixels)


def test_dequantize_adds_uniform_noise_and_checks_its_input():
    x = realnvp_jax.dequantize(jax.random.key(0), np.full(20_000, 3, np.uint8), levels=17)
    assert x.dtype == jnp.float32
    np.testing.assert_allclose(np.quantile(x, [0.1, 0.5, 0.9]), [3.1, 3.5, 3.9], atol=0.02)
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 17\); got values from 3 to 17"):
        realnvp_jax.dequantize(jax.random.key(0), np.array([3, 17]), levels=17)
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 256\); got values from -1 to 3"):
        realnvp_jax.dequantize(jax.random.key(0), np.array([3, -1]))
    with pytest.raises(TypeError, match="expected integer pixels"):
        realnvp_jax.dequantize(jax.random.key(0), np.array([3.0]))


def test_noise_of_an_example_depends_on_its_index_alone():
    pixels = jnp.zeros((6, 2, 2), jnp.uint8)
    whole = dequantize_each(jax.random.key(0), jnp.arange(6), pixels)
    part = dequantize_each(jax.random.key(0), jnp.array([4, 2]), pixels[:2])
    np.testing.assert_array_equal(part, whole[jnp.array([4, 2])])
    assert len(np.unique(whole)) == whole.size


def test_floor_to_levels_clamps():
    pixels = floor_to_levels(jnp.array([-3.0, 0.2, 15.99, 16.0, 40.0]), 17)
    assert pixels.dtype == jnp.uint8
    np.testing.assert_array_equal(pixels, [0, 0, 15, 16, 16])
    with pytest.raises(ValueError, match="at most 256 levels"):
        floor_to_levels(jnp.zeros(3), 257)


@pytest.mark.parametrize("alpha", ["x", None, True, [0.1], 1j, np.nan, np.inf, 0.5, -0.1])
def test_an_alpha_that_is_not_a_number_in_range_is_refused(alpha, without_type_checks):
    for make in (lambda: Logit(256, alpha), lambda: realnvp_jax.image_flow((2, 2, 1), 1, alpha=alpha)):
        with pytest.raises(ValueError, match=r"expected alpha in \[0, 0\.5\); got "):
            make()


@pytest.mark.parametrize("levels", ["x", None, True, 2.0, 1])
def test_levels_that_make_no_sense_are_refused(levels, without_type_checks):
    for make in (lambda: Logit(levels, 0.1), lambda: Rescale(levels), lambda: Center(levels)):
        with pytest.raises(ValueError, match=r"expected (levels to be an integer|at least 2 levels); got "):
            make()


@pytest.mark.parametrize("levels", [7, 17, 255, 256])
def test_the_largest_dequantized_value_has_a_density_without_a_margin(levels):
    logit = Logit(levels, 0.0)
    x = jnp.nextafter(jnp.float32(levels), jnp.float32(0))
    assert bool(jax.jit(logit.contains)(x))
    assert np.isfinite(jax.jit(logit.forward)(x)).all()
    value, log_slope = jax.jvp(logit.forward, (x,), (jnp.ones_like(x),))
    np.testing.assert_allclose(jnp.log(log_slope[0]), value[1], rtol=1e-5)
    assert not bool(logit.contains(jnp.float32(levels)))
    assert not bool(logit.contains(jnp.float32(0)))
