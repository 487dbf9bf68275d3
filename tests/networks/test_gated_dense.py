"""The gated dense conditioner."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import EVALUATE, TRAIN, GatedDense
from tests.helpers import perturb, refusal, small

SIZES = {"base_features": 4, "num_blocks": 2, "out_features": 3}


def problem():
    """(parameters, an identity half, a context for each position)."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 2))
    context = jax.random.normal(jax.random.key(1), (2, 4, 4, 5))
    network = GatedDense(**SIZES)
    return perturb(network.init(jax.random.key(2), x, None, context), jax.random.key(3), 0.3), x, context


def gradient(network: GatedDense, params, x, context, mode):
    return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(network.apply(params, x, None, context, mode)))))(params)


def test_it_starts_at_zero():
    x = jnp.ones((1, 3, 3, 2))
    outputs, _ = GatedDense(**SIZES).init_with_output(jax.random.key(0), x, None)
    np.testing.assert_array_equal(outputs, jnp.zeros((1, 3, 3, 3)))


def test_training_has_the_gradients_of_evaluation_although_it_computes_activations_twice(x64):
    params, x, context = problem()
    expected = gradient(GatedDense(**SIZES), params, x, context, EVALUATE)
    for unroll in (False, True):
        network = GatedDense(unroll=unroll, **SIZES)
        chex.assert_trees_all_close(gradient(network, params, x, context, TRAIN), expected, atol=1e-10)
    assert min(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected)) > 0


def test_bfloat16_is_for_training_alone_and_the_output_is_float32():
    params, x, context = problem()
    half, full = GatedDense(dtype="bfloat16", **SIZES), GatedDense(**SIZES)
    np.testing.assert_array_equal(half.apply(params, x, None, context), full.apply(params, x, None, context))
    trained, expected = (network.apply(params, x, None, context, TRAIN) for network in (half, full))
    assert trained.dtype == jnp.float32
    assert 0 < np.abs(trained - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(("heads", "sees_all"), [(0, False), (2, True)])
def test_attention_lets_every_output_see_every_position(heads, sees_all, x64):
    x = jax.random.normal(jax.random.key(0), (1, 9, 9, 1))
    network = GatedDense(base_features=4, num_blocks=1, out_features=1, attention_heads=heads)
    params = perturb(network.init(jax.random.key(1), x, None), jax.random.key(2), 0.3)
    of_a_corner = jax.grad(lambda x: network.apply(params, x, None)[0, 0, 0, 0])(x)
    assert (np.abs(of_a_corner).min() > 0) == sees_all
    trained = jax.grad(lambda x: network.apply(params, x, None, None, TRAIN)[0, 0, 0, 0])(x)
    np.testing.assert_allclose(trained, of_a_corner, atol=1e-12)
    half = network.clone(dtype="bfloat16")
    full = network.apply(params, x, None)
    np.testing.assert_array_equal(half.apply(params, x, None), full)
    assert 0 < np.abs(half.apply(params, x, None, None, TRAIN) - full).max() < 0.05 * np.abs(full).max()


def test_attention_that_cannot_be_is_refused():
    message = refusal(small, "glow_flow", conditioner="gated_dense", base_features=6, attention_heads=4)
    assert message == "expected attention_heads to divide the 6 features; got 4: try 8 features"
    network = GatedDense(base_features=4, num_blocks=1, out_features=1, attention_heads=2)
    message = refusal(network.init, jax.random.key(0), jnp.zeros((1, 65, 64, 1)), None)
    assert "expected at most 4096 positions (64x64) for attention" in message
    assert message.endswith("got 65x64: set attention_heads=0, or squeeze the images first, as glow_flow does")


def test_vectors_are_refused():
    message = refusal(GatedDense(**SIZES).init, jax.random.key(0), jnp.ones((2, 3)), None)
    assert "expected images for the conditioner 'gated_dense'; got the shape (2, 3): use 'mlp'" in message
