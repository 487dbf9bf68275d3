"""The gated dense conditioner."""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax import EVALUATE, TRAIN, GatedDense
from tests.helpers import perturb, refusal

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


def test_vectors_are_refused():
    message = refusal(GatedDense(**SIZES).init, jax.random.key(0), jnp.ones((2, 3)), None)
    assert "expected images for the conditioner 'gated_dense'; got the shape (2, 3): use 'mlp'" in message
