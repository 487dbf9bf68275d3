"""Steps of training."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.training.optimizer import SGD, Adam, clipped
from realnvp_jax.training.state import create_state, evaluation_params
from realnvp_jax.training.steps import train_step, train_steps
from tests.helpers import perturb
from tests.training.helpers import FLOW, compiled_step, pixels


def test_several_updates_in_a_dispatch_are_the_same_updates():
    flow = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=4)
    optimizer = clipped(Adam(), 1e-3)
    options = {"flow": flow, "optimizer": optimizer, "flip": True, "ema_decay": 0.9}
    state = one = create_state(flow, jax.random.key(0), optimizer, 0.9)
    batches = np.random.default_rng(0).integers(0, 4, (4, 6, 4, 4, 1)).astype(np.uint8)
    step = jax.jit(functools.partial(train_step, **options))
    scores = []
    for batch in batches[:3]:
        one, metrics = step(one, {"x": batch}, jax.random.key(1))
        scores.append(metrics["score"])
    several, metrics = jax.jit(functools.partial(train_steps, **options))(state, {"x": batches}, jax.random.key(1), 3)
    assert int(several.step) == 3
    np.testing.assert_allclose(metrics["score"][:3], scores, rtol=1e-5)
    chex.assert_trees_all_close(several.params, one.params, rtol=1e-4, atol=1e-5)


def test_noise_is_new_in_every_step_and_the_average_follows():
    state, step = compiled_step(ema_decay=0.9)
    one, first = step(state, {"x": pixels()}, jax.random.key(1))
    again, _ = step(state, {"x": pixels()}, jax.random.key(1))
    chex.assert_trees_all_equal(one, again)
    _, second = step(state.replace(step=jnp.ones((), jnp.int32)), {"x": pixels()}, jax.random.key(1))
    assert first["score"] != second["score"]
    decay = 1 / 10  # warmed up, at step 0
    expected = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.params, one.params)
    chex.assert_trees_all_close(one.ema, expected, rtol=1e-5, atol=1e-7)
    assert evaluation_params(one) is one.ema
    assert evaluation_params(compiled_step()[0]) is compiled_step()[0].params


def test_one_batch_is_overfitted_and_both_modes_agree():
    state, step = compiled_step()
    images = np.repeat(np.random.default_rng(1).integers(0, 4, (4, 4, 4, 1)), 16, axis=0).astype(np.uint8)
    scores = []
    for _ in range(300):
        state, metrics = step(state, {"x": images}, jax.random.key(1))
        scores.append(float(metrics["score"]))
    assert np.mean(scores[-30:]) < 0.5 * scores[0]
    keys = jax.random.split(jax.random.key(2), 8)  # the noise of one batch alone moves the mean by 0.1
    bits = np.mean([FLOW.bits_per_dim(state.params, key, images).mean() for key in keys])
    assert abs(bits - np.mean(scores[-30:])) < 0.05


def test_accumulated_gradients_are_those_of_the_whole_batch():
    parts = {"conditioner": "gated_dense", "dequantizer": "variational", "noise_features": 4}
    flow = realnvp_jax.glow_flow((4, 4, 1), num_scales=1, num_steps=1, base_features=4, num_blocks=1, levels=4, **parts)
    optimizer = clipped(SGD(), 1e-2, 0.0)
    state = create_state(flow, jax.random.key(0), optimizer, x=jnp.asarray(pixels()))
    state = state.replace(params=perturb(state.params, jax.random.key(2), 0.1))
    results = []
    for accumulate in (1, 3):
        options = {"flip": True, "shift": 1, "accumulate": accumulate}
        step = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, **options))
        results.append(jax.device_get(step(state, {"x": pixels()}, jax.random.key(1))))
    (whole, metrics), (parts, metrics_of_parts) = results
    chex.assert_trees_all_close(metrics, metrics_of_parts, rtol=1e-5)
    before = jax.device_get(state.params)  # NumPy, since JAX would compile a subtraction for every shape
    changes = [jax.tree.map(np.subtract, new.params, before) for new in (whole, parts)]
    scale = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(changes[0]))
    assert scale > 1e-3
    chex.assert_trees_all_close(*changes, rtol=1e-5, atol=1e-5 * scale)


def test_running_statistics_move_by_the_mean_over_the_parts():
    state, _ = compiled_step()
    optimizer = clipped(SGD(), 0.0, 0.0)
    state = state.replace(opt_state=optimizer.init(state.params["params"]))

    def statistics(x, accumulate):
        step = jax.jit(functools.partial(train_step, flow=FLOW, optimizer=optimizer, accumulate=accumulate))
        return step(state, {"x": x}, jax.random.key(1))[0].params["batch_stats"]

    whole, halves = jax.tree.leaves(statistics(pixels(), 1)), jax.tree.leaves(statistics(pixels(), 2))
    for one, mean, old in zip(whole, halves, jax.tree.leaves(state.params["batch_stats"]), strict=True):
        moved = jnp.abs(one - old).max()
        assert moved > 0
        assert jnp.abs(one - mean).max() < 0.5 * moved  # two updates would move them twice as far


@pytest.mark.parametrize("memory", ["store", "remat", "invert"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_metric_log_scale_is_the_largest_of_any_layer(memory, accumulate):
    options = {"hidden": (8,), "normalization": "none", "memory": memory}
    flow = realnvp_jax.vector_flow(2, num_layers=1, **options)
    params = flow.init(jax.random.key(0))
    params = {**params, "params": perturb(params["params"], jax.random.key(1), 0.5)}
    x = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    _, log_det = flow.forward(params, x)  # a single transformed element, so its log_scale
    state = create_state(flow, jax.random.key(0), SGD().transformation(1e-2)).replace(params=params)
    step = functools.partial(train_step, flow=flow, optimizer=SGD().transformation(1e-2), accumulate=accumulate)
    _, metrics = jax.jit(step)(state, {"x": x}, jax.random.key(2))
    np.testing.assert_allclose(metrics["log_scale"], np.abs(log_det).max(), rtol=1e-5)
    assert metrics["log_scale"] > 0.01
