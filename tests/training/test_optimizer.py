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
from realnvp_jax.training.optimizer import SGD, Adam, clipped, global_norm, l2_penalty, learning_rate_schedule


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
    with pytest.raises(ValueError, match=r"decay_steps above schedule.warmup_steps=10; got 10"):
        learning_rate_schedule(1.0, "cosine", warmup_steps=10, decay_steps=10)


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
