"""Optimizers, schedules and the penalty."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import realnvp_jax
from realnvp_jax.models.declared import penalized
from realnvp_jax.training.optimizer import (
    SGD,
    Adam,
    ScheduleFree,
    clipped,
    global_norm,
    l2_penalty,
    learning_rate_schedule,
)
from realnvp_jax.training.state import evaluation_params, initial_state, optimizer_average
from tests.helpers import refusal


def test_an_optimizer_on_one_vector_makes_the_same_updates():
    random = np.random.default_rng(0)
    params, gradient = ({"a": jnp.asarray(random.random((2, 3)), float), "b": jnp.ones(4)} for _ in range(2))
    plain = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    results = []
    for optimizer in (clipped(Adam(), 0.1, 1.0), plain):
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        results.append(optax.apply_updates(params, updates))
    chex.assert_trees_all_close(*results, rtol=1e-6)
    np.testing.assert_allclose(global_norm(gradient), optax.tree.norm(gradient), rtol=1e-6)


def test_schedules():
    cosine = learning_rate_schedule(2.0, "cosine", warmup_steps=10, decay_steps=110)
    np.testing.assert_allclose([cosine(0), cosine(5), cosine(10), cosine(60), cosine(110)], [0, 1, 2, 1, 0], atol=1e-6)
    constant = learning_rate_schedule(2.0)
    assert [float(constant(step)) for step in (0, 10**6)] == [2, 2]
    with pytest.raises(ValueError, match=r"expected schedule\.name to be one of"):
        learning_rate_schedule(1.0, "linear")
    for name in ("cosine", "one_cycle"):
        with pytest.raises(ValueError, match=r"decay_steps above schedule.warmup_steps=10; got 10"):
            learning_rate_schedule(1.0, name, warmup_steps=10, decay_steps=10)


def test_one_cycle():
    cycle = learning_rate_schedule(2.0, "one_cycle", warmup_steps=10, decay_steps=110)
    steps = [0, 5, 10, 60, 110, 200]
    np.testing.assert_allclose([cycle(step) for step in steps], [0.08, 1.04, 2, 1.000004, 8e-6, 8e-6], rtol=1e-5)
    thirty_percent = learning_rate_schedule(2.0, "one_cycle", decay_steps=200)
    optaxes = optax.cosine_onecycle_schedule(200, 2.0)
    for step in (0, 30, 60, 61, 130, 200):
        np.testing.assert_allclose(thirty_percent(step), optaxes(step), rtol=1e-5)


def test_clipping_bounds_the_global_norm():
    optimizer = clipped(SGD(), 1.0, 5.0)
    gradient = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
    updates, _ = optimizer.update(gradient, optimizer.init(gradient))
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-3, -4], rtol=1e-6)


CHECKERBOARD = r"(\['before'\]\['layers_0'\]|\['scales_1'\]\['before'\])"


def test_the_penalty_counts_gains_and_checkerboard_scales_only():
    flow = realnvp_jax.image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1)
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), jax.eval_shape(flow.init, jax.random.key(0)))["params"]
    gradient = jax.tree_util.tree_leaves_with_path(jax.grad(l2_penalty)(ones, penalized(flow)))
    counted = {jax.tree_util.keystr(path) for path, leaf in gradient if leaf.any()}
    names = {jax.tree_util.keystr(path) for path, _ in gradient}
    scales_of = re.compile(CHECKERBOARD + r".*\['scale'\]$")
    assert counted == {n for n in names if n.endswith("['gain']") or scales_of.search(n)}
    scales = [leaf for path, leaf in gradient if jax.tree_util.keystr(path) in counted and path[-1].key == "scale"]
    assert sum(leaf.size for leaf in scales) == 7


def test_schedule_free_evaluates_the_mean_of_what_adamw_would_train():
    params = {"params": {"a": jnp.arange(1.0, 4), "b": jnp.ones((2, 2))}, "batch_stats": {"c": jnp.ones(2)}}
    optimizer = clipped(ScheduleFree(weight_decay=0.1), 0.05, 10.0)
    state = initial_state(params, optimizer)
    chex.assert_trees_all_equal(evaluation_params(state), params)
    trained, opt_state, targets = params["params"], state.opt_state, []
    adamw = optax.adamw(0.05, b1=0.0, weight_decay=0.1)
    target, adamw_state = trained, adamw.init(trained)
    for _ in range(4):
        gradient = jax.tree.map(lambda leaf: 2 * leaf, trained)
        updates, adamw_state = adamw.update(gradient, adamw_state, trained)
        target = optax.apply_updates(target, updates)
        targets.append(target)
        updates, opt_state = optimizer.update(gradient, opt_state, trained)
        trained = optax.apply_updates(trained, updates)
    average = optimizer_average(opt_state, {**params, "params": trained})
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 4, *targets)
    chex.assert_trees_all_close(average, {**params, "params": mean}, rtol=1e-5)
    between = jax.tree.map(lambda x, z: 0.9 * x + 0.1 * z, mean, target)
    chex.assert_trees_all_close(trained, between, rtol=1e-5)


def test_fit_returns_the_average_of_schedule_free_and_refuses_a_decay():
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(4,))
    x = np.random.default_rng(0).standard_normal((64, 2)).astype(np.float32)
    start, key = flow.init(jax.random.key(0), x), jax.random.key(1)
    options = {"num_steps": 20, "batch_size": 32, "progress": False}
    one = realnvp_jax.fit(flow, start, x, key, optimizer="schedule_free", learning_rate=0.01, **options)
    with_optaxes = optax.contrib.schedule_free_adamw(0.01, weight_decay=1e-4)
    other = realnvp_jax.fit(flow, start, x, key, optimizer=with_optaxes, **options)
    chex.assert_trees_all_close(one, other, rtol=1e-4, atol=1e-6)
    assert flow.log_prob(one, x).mean() > flow.log_prob(start, x).mean()
    validated = realnvp_jax.fit(
        flow, start, x, key, optimizer="schedule_free", learning_rate=0.01, validation=x, validate_every=20, **options
    )
    chex.assert_trees_all_equal(validated, one)
    message = refusal(realnvp_jax.fit, flow, start, x, key, optimizer="schedule_free", schedule="cosine", **options)
    assert "expected the schedule 'constant', with or without warm-up, for ScheduleFree" in message
