"""Dropout: what is dropped, and that the draws depend on the key, the layer and the example alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import EVALUATE, TRAIN
from realnvp_jax.networks.dropout import dropout
from tests.helpers import perturb, refusal, small

KEY = jax.random.key(0)
PARTS = {
    "gated_dense": {"conditioner": "gated_dense", "base_features": 4, "attention_heads": 2, "transform": "affine"},
    "vit": {"conditioner": "vit", "vit_features": 4, "vit_heads": 2, "masks": "both"},
}
PIXELS = np.random.default_rng(0).integers(0, 17, (6, 4, 4, 1)).astype(np.uint8)


def problem(name: str, **choices):
    """(flow with dropout, its perturbed parameters)."""
    flow = small("glow_flow", levels=17, num_steps=2, **{"dropout": 0.4, **PARTS[name], **choices})
    return flow, perturb(flow.init(KEY), jax.random.key(1), 0.2)


def test_a_fraction_is_dropped_and_the_mean_is_kept():
    x = jnp.ones((50, 40, 30))
    dropped = np.asarray(dropout(x, 0.25, TRAIN.drawing(KEY, jnp.arange(50))))
    assert set(np.unique(dropped).tolist()) == {0.0, float(np.float32(1 / 0.75))}
    np.testing.assert_allclose(dropped.mean(axis=(1, 2)), 1, atol=0.1)
    assert len({example.tobytes() for example in dropped}) == 50
    some = dropout(x[:3], 0.25, TRAIN.drawing(KEY, jnp.array([7, 2, 49])))
    np.testing.assert_array_equal(some, dropped[np.array([7, 2, 49])])
    for mode in (EVALUATE, EVALUATE.drawing(KEY, jnp.arange(50))):
        assert dropout(x, 0.25, mode) is x
    assert dropout(x, 0.0, TRAIN) is x


def test_layers_draw_different_numbers():
    x = jnp.ones((2, 100))
    mode = TRAIN.drawing(KEY, jnp.arange(2))
    layers = [dropout(x, 0.5, mode.at(0)), dropout(x, 0.5, mode.at(1)), dropout(x, 0.5, mode.at(0).at(1))]
    assert len({np.asarray(layer).tobytes() for layer in layers}) == 3
    assert TRAIN.at(3) == TRAIN


@pytest.mark.parametrize("name", PARTS)
def test_training_passes_depend_on_the_key_and_the_example_alone(name):
    flow, params = problem(name)

    def bits(key, pixels):
        return flow.bits_per_dim_train(params, key, pixels)[0]

    whole = bits(KEY, PIXELS)
    np.testing.assert_allclose(bits(KEY, PIXELS[:4]), whole[:4], rtol=1e-5)
    without, _ = problem(name, dropout=0.0)
    assert np.abs(without.bits_per_dim_train(params, KEY, PIXELS)[0] - whole).min() > 1e-4
    np.testing.assert_array_equal(flow.bits_per_dim(params, KEY, PIXELS), without.bits_per_dim(params, KEY, PIXELS))
    x = PIXELS.astype(np.float32) + 0.5
    assert "use dropout=0 for continuous data" in refusal(flow.log_prob_train, params, x)
    assert "expected dropout of at least 0 and below 1; got 1" in refusal(problem, name, dropout=1.0)


@pytest.mark.parametrize("name", ["gated_dense", pytest.param("vit", marks=pytest.mark.slow)])
def test_the_backward_pass_of_all_memory_modes_sees_the_draws_of_the_forward_pass(name, x64):
    def value_and_gradients(memory, unroll=False):
        flow, params = problem(name, memory=memory, unroll=unroll)

        def loss(trainable):
            return flow.bits_per_dim_train({**params, "params": trainable}, KEY, PIXELS)[0].mean()

        return jax.jit(jax.value_and_grad(loss))(params["params"])

    expected = value_and_gradients("store")
    for memory in ("remat", "invert"):
        chex.assert_trees_all_close(value_and_gradients(memory), expected, rtol=1e-6, atol=1e-8)
    if name == "gated_dense":
        chex.assert_trees_all_close(value_and_gradients("store", True), expected, rtol=1e-6, atol=1e-8)
