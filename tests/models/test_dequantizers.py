"""Learned dequantizers, and training on discrete data."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from configs import digits
from examples import own_parts
from realnvp_jax import EVALUATE, Flow
from realnvp_jax.models.declared import penalized
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.augmentation import noise_key
from realnvp_jax.training.optimizer import l2_penalty
from realnvp_jax.training.state import create_state, initial_state
from realnvp_jax.training.steps import train_step
from tests.helpers import perturb, refusal, small


def pixels(num: int = 4, levels: int = 17, size: int = 4) -> np.ndarray:
    return np.random.default_rng(0).integers(0, levels, (num, size, size, 1)).astype(np.uint8)


def own_flow(**choices):
    """A small flow with the example's dequantizer."""
    return small("image_flow", levels=17, dequantizer=own_parts.ConditionalNoise(noise_channels=2), **choices)


def test_the_parameters_of_a_learned_dequantizer_are_in_the_tree_and_get_gradients():
    flow = own_flow()
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.1)
    assert set(params["params"]["dequantizer"]) == {"Conv_0", "Conv_1", "Conv_2", "Conv_3"}

    def loss(params):
        return flow.bits_per_dim_train(params, jax.random.key(2), pixels())[0].mean()

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)["params"]["dequantizer"]):
        assert np.abs(gradient).max() > 0, jax.tree_util.keystr(path)
    y = flow.dequantize(jax.random.key(2), pixels(), params)
    np.testing.assert_array_equal(np.floor(y), pixels())
    assert "expected params" in refusal(flow.dequantize, jax.random.key(2), pixels())


def test_parameters_without_those_of_the_dequantizer_are_refused():
    learned = own_flow()
    without = {**learned.init(jax.random.key(0))}
    without["params"] = {name: tree for name, tree in without["params"].items() if name != "dequantizer"}
    message = refusal(learned.bits_per_dim, without, jax.random.key(0), pixels())
    assert "expected parameters of this flow" in message
    assert "got none called 'params/dequantizer/" in message


def test_more_samples_of_a_learned_dequantizer_tighten_the_bound():
    flow = own_flow()
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.2)
    one, four, sixteen = (
        flow.bits_per_dim(params, jax.random.key(3), pixels(64), num_samples=count).mean() for count in (1, 4, 16)
    )
    assert one > four > sixteen


@pytest.mark.parametrize(
    "make", [functools.partial(small, "image_flow", levels=17), pytest.param(own_flow, marks=pytest.mark.slow)]
)
def test_training_sees_the_pixels_of_bits_per_dim_and_updates_the_statistics(make):
    key, x = jax.random.key(4), pixels(8)
    flow = make()
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.1)
    bits, updated = jax.jit(flow.bits_per_dim_train)(params, key, x)
    chex.assert_shape(bits, (8,))
    y = flow.dequantize(key, x, params)
    log_q = 0.0
    if flow.dequantizer.is_learned:
        mine = {"params": params["params"]["dequantizer"]}
        log_q = flow.dequantizer.apply(mine, jnp.asarray(x), key, jnp.arange(8))[1]
    log_prob, expected = flow.log_prob_train(params, y)
    np.testing.assert_allclose(bits, (log_q - log_prob) / (flow.num_dims * np.log(2)), rtol=1e-4)
    chex.assert_trees_all_close(updated, expected, rtol=1e-4, atol=1e-6)
    moved = jax.tree.map(lambda old, new: jnp.abs(old - new).max(), params["batch_stats"], updated["batch_stats"])
    assert min(jax.tree.leaves(moved)) > 0
    chex.assert_trees_all_equal(updated["params"], params["params"])
    evaluated = flow.bits_per_dim({**params, "batch_stats": updated["batch_stats"]}, key, x)
    np.testing.assert_allclose(evaluated, (log_q - flow.log_prob(updated, y)) / (flow.num_dims * np.log(2)), rtol=1e-4)


def test_training_reports_the_mean_of_bits_per_dim_train():
    flow, key, x = small("image_flow", levels=17), jax.random.key(5), pixels(8)
    config = digits.get_config()
    optimizer, _ = make_optimizer(config, flow)
    state = create_state(flow, jax.random.key(0), optimizer, 0.0)
    _, metrics = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer))(state, {"x": x}, key)
    noise_key = jax.random.split(jax.random.fold_in(key, 0))[1]
    bits, _ = flow.bits_per_dim_train(state.params, noise_key, x)
    np.testing.assert_allclose(metrics["score"], bits.mean(), rtol=1e-6)


class NoiseByAResNet(realnvp_jax.Dequantizer):
    """A dequantizer with parameters that carry the L2 penalty in a coupling layer."""

    @nn.compact
    def __call__(self, x, key, indices, context=None, mode=EVALUATE):
        y = x + jax.nn.sigmoid(realnvp_jax.ResNet(1, base_features=2, num_blocks=1)(x.astype(jnp.float32), None))
        return y, jnp.zeros(x.shape[0])


def test_the_penalty_is_on_the_bijection_alone():
    flow = small("image_flow", levels=17, dequantizer=NoiseByAResNet())
    params = flow.init(jax.random.key(0))
    assert "dequantizer" in params["params"]
    assert penalized(flow) == penalized(small("image_flow", levels=17))
    penalty = l2_penalty(params["params"], penalized(flow))
    assert penalty == l2_penalty({"scales_0": params["params"]["scales_0"]}, penalized(flow))


def test_rows_of_integers_have_noise_of_their_own_however_many_there_are():
    flow = Flow((2,), realnvp_jax.vector_flow(2, num_layers=1, hidden=(2,)).bijection, levels=16)
    params, rows = flow.init(jax.random.key(0)), np.ones((2048, 2), np.uint8)
    optimizer = realnvp_jax.SGD().transformation(0.0)
    state = initial_state(params, optimizer)
    _, metrics = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer))(
        state, {"x": rows}, jax.random.key(1)
    )
    key = noise_key(jax.random.fold_in(jax.random.key(1), 0))
    expected = flow.bits_per_dim_train(params, key, rows)[0].mean()
    np.testing.assert_allclose(metrics["score"], expected, rtol=1e-6)
