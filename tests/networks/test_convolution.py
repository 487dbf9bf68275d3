"""Convolutions and their gradients."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.networks.convolution import convolve, convolve_for_training


@pytest.mark.parametrize("padding", [None, ((2, 0), (1, 1))])
def test_both_convolutions_have_the_gradients_of_the_plain_one(padding, x64):
    random = np.random.default_rng(0)
    x, kernel = jnp.asarray(random.standard_normal((2, 4, 5, 3))), jnp.asarray(random.standard_normal((3, 3, 3, 2)))
    weights = random.standard_normal((2, 4, 5, 2))

    def plain(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), padding or "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def gradient(function):
        return jax.jit(jax.grad(lambda x, kernel: (function(x, kernel) * weights).sum(), (0, 1)))(x, kernel)

    expected = gradient(plain)
    for function in (convolve, convolve_for_training):
        found = functools.partial(function, padding=padding)
        np.testing.assert_allclose(found(x, kernel), plain(x, kernel), atol=1e-12)
        chex.assert_trees_all_close(gradient(found), expected, atol=1e-12)
    forward = jax.jacfwd(functools.partial(convolve, padding=padding), (0, 1))(x, kernel)
    chex.assert_trees_all_close(forward, jax.jacfwd(plain, (0, 1))(x, kernel), atol=1e-12)
