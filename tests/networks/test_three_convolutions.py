"""Glow's conditioner."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax import EVALUATE, INITIALIZE, TRAIN, ActNorm, ThreeConvolutions
from tests.helpers import perturb, refusal


def network(**options) -> ThreeConvolutions:
    return ThreeConvolutions(base_features=4, out_features=3, normalization=ActNorm(), **options)


def problem():
    """(parameters, an identity half)."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 2))
    return perturb(network().init(jax.random.key(2), x, None), jax.random.key(3), 0.3), x


def test_it_starts_at_zero_with_normalized_features():
    x = 7 + jax.random.normal(jax.random.key(0), (8, 5, 5, 2))
    params = network().init(jax.random.key(1), x, None)
    outputs, updated = network().apply(params, x, None, None, INITIALIZE, mutable=["params"])
    np.testing.assert_array_equal(outputs, jnp.zeros((8, 5, 5, 3)))
    assert float(updated["params"]["normalize_0"]["statistics"]["log_std"].max()) < 0  # kernels start small


def test_training_has_the_gradients_of_evaluation(x64):
    params, x = problem()

    def gradient(mode):
        return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(network().apply(params, x, None, None, mode)))))(params)

    chex.assert_trees_all_close(gradient(TRAIN), gradient(EVALUATE), atol=1e-10)


def test_bfloat16_is_for_training_alone_and_the_output_is_float32():
    params, x = problem()
    half, full = network(dtype="bfloat16"), network()
    np.testing.assert_array_equal(half.apply(params, x, None), full.apply(params, x, None))
    trained, expected = (one.apply(params, x, None, None, TRAIN) for one in (half, full))
    assert trained.dtype == jnp.float32
    assert 0 < np.abs(trained - expected).max() < 0.05 * np.abs(expected).max()


def test_vectors_are_refused():
    message = refusal(ThreeConvolutions().init, jax.random.key(0), jnp.ones((2, 3)), None)
    assert "expected images for the conditioner 'three_convolutions'; got the shape (2, 3): use 'mlp'" in message
