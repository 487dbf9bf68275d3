"""PixelCNN and its causal convolutions."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.networks.convolution import convolve, convolve_for_training
from realnvp_jax.networks.pixelcnn import CausalConv, PixelCNN
from tests.helpers import perturb
from tests.networks.helpers import assert_exactly_triangular, jacobian_and_log_det

KEY = jax.random.key(0)


PIXELCNNS = {
    "one channel": ((4, 5, 1), 4, 1, 3),
    "two channels": ((3, 4, 2), 8, 2, 1),
    "three channels": ((3, 3, 3), 24, 1, 5),
}


@functools.cache
def pixelcnn(name: str):
    """(conditioner, bijection, variables, images) in float64."""
    shape, features, num_blocks, kernel_size = PIXELCNNS[name]
    transform = Mixture(2)
    conditioner = PixelCNN(shape, features, num_blocks, kernel_size, transform.parameters_per_dim)
    bijection = Autoregressive(conditioner, transform)
    x = jax.random.normal(KEY, (3, *shape))
    context = jnp.ones((3, 2))
    variables = jax.jit(lambda key: bijection.init(key, x, context, method="forward"))(KEY)
    return conditioner, bijection, perturb(variables, KEY, size=0.1), x, context


@pytest.mark.parametrize("name", PIXELCNNS)
def test_the_jacobian_of_pixelcnn_is_exactly_triangular(name, x64):
    _, bijection, variables, x, context = pixelcnn(name)
    jacobian, log_det = jacobian_and_log_det(bijection, variables, x, context[:1])
    assert_exactly_triangular(jacobian, np.arange(x[0].size), log_det)
    # every channel sees those before it at its own pixel, and the pixel to the left
    height, width, channels = x.shape[1:]
    by_place = jacobian.reshape(height * width, channels, height * width, channels)
    pixels = np.arange(width + 1, height * width)  # below the first row
    for c in range(channels):
        for before in (1, width):
            assert by_place[pixels, c, pixels - before].any()
        for earlier in range(c):
            assert by_place[pixels, c, pixels, earlier].any()


@pytest.mark.parametrize("name", PIXELCNNS)
def test_pixelcnn_one_pixel_at_a_time_is_pixelcnn(name, x64):
    conditioner, _, variables, x, context = pixelcnn(name)
    variables = {"params": variables["params"]["conditioner"]}
    whole = conditioner.apply(variables, x, context).reshape(len(x), x[0].size, -1)

    @jax.jit
    def step(state, k, value):
        raw, state = conditioner.apply(variables, state, k, context, method="parameters_of")
        return raw, conditioner.apply(variables, state, k, value, method="put")

    state = conditioner.apply(variables, len(x), x.dtype, method="start")
    for k in range(x[0].size):
        raw, state = step(state, k, x.reshape(len(x), -1)[:, k])
        np.testing.assert_allclose(raw, whole[:, k], atol=1e-9)
    np.testing.assert_array_equal(conditioner.apply(variables, state, method="event"), x)


def test_a_causal_convolution_is_the_masked_one_and_trains_with_the_same_gradient(x64):
    conv = CausalConv(6, 5, 2, is_type_a=True)
    x = jax.random.normal(KEY, (2, 16, 17, 2))
    variables = perturb(conv.init(KEY, x), KEY)
    kernel = variables["params"]["kernel"]
    full = jnp.zeros((5, 5, 2, 6)).at[:3].set(kernel)
    mask = np.zeros((5, 5, 2, 6), bool)
    mask[:2] = mask[2, :2] = True
    mask[2, 2, 0, 3:] = True  # features of the second group see the first channel of their own pixel
    expected = convolve(x, jnp.where(mask, full, 0)) + variables["params"]["bias"].reshape(1, 1, 1, -1)
    np.testing.assert_allclose(conv.apply(variables, x), expected, atol=1e-12)
    padding = ((2, 0), (2, 2))
    gradients = [
        jax.jit(jax.grad(lambda x, k, f=f: jnp.sum(jnp.sin(f(x, k, padding))), (0, 1)))(x, kernel)
        for f in (convolve, convolve_for_training)
    ]
    chex.assert_trees_all_close(*gradients, atol=1e-9)
