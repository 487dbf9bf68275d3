"""Bits per dimension, means and their errors."""

import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import likelihood


def test_uniform_pixels_have_log2_levels_bits():
    assert float(likelihood.bits_per_dim(jnp.array(-192 * np.log(256)), 192)) == pytest.approx(8, abs=1e-6)


def test_mean_and_standard_error():
    assert likelihood.mean_and_standard_error(np.array([1.0, 2.0, 3.0])) == pytest.approx((2.0, 1 / np.sqrt(3)))


def test_log_mean_exp_of_far_apart_values(x64):
    values = jnp.array([[-2000.0], [-1000.0]])
    np.testing.assert_allclose(likelihood.log_mean_exp(values), [-1000 - np.log(2)])


def test_a_single_value_has_no_standard_error():
    assert likelihood.mean_and_standard_error(np.array([2.5])) == (2.5, None)
