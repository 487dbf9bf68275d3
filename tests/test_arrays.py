"""Masks, squeezes, preprocessing, base distributions, likelihood: the ground floor."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax import likelihood
from realnvp_jax.base import Logistic, Normal, Uniform
from realnvp_jax.masks import Checkerboard, Halves, checkerboard
from realnvp_jax.preprocessing import Identity, Logit, Rescale, add_uniform_noise, dequantize_each, floor_to_levels
from realnvp_jax.squeeze import squeeze, squeeze_diagonal, unsqueeze, unsqueeze_diagonal

ONE_BLOCK = jnp.array([[[[1.0, 5.0], [2.0, 6.0]], [[3.0, 7.0], [4.0, 8.0]]]])  # pixels 1 2 / 3 4, second colour + 4


def test_checkerboard_parity_0_keeps_the_upper_left_cell():
    np.testing.assert_array_equal(checkerboard(2, 3, 0)[..., 0], [[True, False, True], [False, True, False]])
    np.testing.assert_array_equal(checkerboard(2, 3, 1), ~checkerboard(2, 3, 0))


@pytest.mark.parametrize("mask", [Checkerboard(0), Checkerboard(1), Halves(0), Halves(1)])
def test_split_and_merge_agree_with_the_mask(mask):
    x = jax.random.normal(jax.random.key(0), (2, 3, 5, 4))
    identity, transformed = mask.split(x)
    np.testing.assert_array_equal(mask.merge(identity, transformed), x)
    if isinstance(mask, Checkerboard):
        np.testing.assert_array_equal(identity == 0, np.broadcast_to(~checkerboard(3, 5, mask.parity)[None], x.shape))
        assert mask.num_transformed(x.shape) == int((~checkerboard(3, 5, mask.parity)).sum())
    else:
        np.testing.assert_array_equal(identity, x[..., :2] if mask.parity == 0 else x[..., 2:])


def test_squeeze_is_colour_major():
    np.testing.assert_array_equal(squeeze(ONE_BLOCK).ravel(), [1, 2, 3, 4, 5, 6, 7, 8])


def test_squeeze_diagonal_is_position_major_with_the_diagonal_first():
    np.testing.assert_array_equal(squeeze_diagonal(ONE_BLOCK).ravel(), [1, 5, 4, 8, 2, 6, 3, 7])


@pytest.mark.parametrize(("there", "back"), [(squeeze, unsqueeze), (squeeze_diagonal, unsqueeze_diagonal)])
def test_squeezes_are_permutations(there, back):
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    y = there(x)
    assert y.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(np.sort(y.ravel()), x.ravel())
    np.testing.assert_array_equal(back(y), x)


@pytest.mark.parametrize("preprocessing", [Identity(), Rescale(17), Logit(256, 0.05), Logit(4, 0.0)])
def test_preprocessing_inverts_and_knows_its_derivative(preprocessing, x64):
    x = jnp.linspace(0.1, 3.9, 9)
    y, log_derivative = preprocessing.forward(x)
    back, inverse_log_derivative = preprocessing.inverse(y)
    expected = jnp.log(jax.vmap(jax.grad(lambda v: preprocessing.forward(v)[0]))(x))
    np.testing.assert_allclose(log_derivative, expected, atol=1e-12)
    np.testing.assert_allclose(back, x, atol=1e-12)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, atol=1e-12)


def test_the_support_of_the_logit_and_its_ends():
    logit = Logit(256, 0.05)
    ends = np.array([-0.05, 0.95]) / 0.9 * 256
    inside = jnp.array([ends[0] + 0.01, 0.0, 255.999, ends[1] - 0.01])
    assert logit.contains(inside).all()
    assert not logit.contains(jnp.array([ends[0] - 0.01, ends[1] + 0.01, jnp.nan])).any()
    extreme, _ = logit.inverse(jnp.array([-200.0, 200.0]))
    assert logit.contains(extreme).all()
    assert np.isfinite(logit.forward(extreme)[1]).all()


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


@pytest.mark.parametrize("base", [Normal(), Logistic(), Uniform()])
def test_base_densities_integrate_to_one_and_samples_follow_them(base):
    grid = jnp.linspace(-40, 40, 400_001)
    density = np.exp(np.asarray(base.log_density(grid), np.float64))
    np.testing.assert_allclose(density.sum() * 80 / 400_000, 1, atol=1e-3)
    samples = base.sample(jax.random.key(0), (200, 100))
    mean = (density * np.asarray(grid)).sum() / density.sum()
    deviation = np.sqrt((density * (np.asarray(grid) - mean) ** 2).sum() / density.sum())
    np.testing.assert_allclose([samples.mean(), samples.std()], [mean, deviation], atol=0.03)


def test_uniform_pixels_have_log2_levels_bits():
    assert float(likelihood.bits_per_dim(jnp.array(-192 * np.log(256)), 192)) == pytest.approx(8, abs=1e-6)


def test_mean_and_standard_error():
    assert likelihood.mean_and_standard_error(np.array([1.0, 2.0, 3.0])) == pytest.approx((2.0, 1 / np.sqrt(3)))


def test_log_mean_exp_of_far_apart_values(x64):
    values = jnp.array([[-2000.0], [-1000.0]])
    np.testing.assert_allclose(likelihood.log_mean_exp(values), [-1000 - np.log(2)])
