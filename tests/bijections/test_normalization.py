"""Normalization as a bijection."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples import own_parts
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.masks import Checkerboard
from realnvp_jax.mode import EVALUATE, INITIALIZE, TRAIN
from realnvp_jax.networks.statistics import BatchNorm, Normalization
from tests.helpers import build, refusal


@pytest.mark.parametrize("mask", [None, Checkerboard(0)])
def test_batch_norm_normalizes_by_the_batch_in_training_and_updates_its_statistics(mask, x64):
    norm = Normalize(BatchNorm())
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (16, 4, 4, 2))
    cells = None if mask is None else mask.cells(x.shape)
    x = x if mask is None else mask.only_transformed(x)
    variables = norm.init(jax.random.key(1), x, method="forward")
    (z, log_det), updates = norm.apply(variables, x, cells, TRAIN, method="normalize", mutable=["batch_stats"])
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = (x - mean[None, None, None]) / jnp.sqrt(variance + 1e-4)[None, None, None]
    if mask is not None:
        expected = mask.merge(x, expected)
    chex.assert_trees_all_close(z, expected, atol=1e-9)
    positions = 16 if mask is None else 8
    np.testing.assert_allclose(log_det, -0.5 * positions * jnp.log(variance + 1e-4).sum(), atol=1e-9)
    statistics = updates["batch_stats"]["statistics"]
    chex.assert_trees_all_close(statistics["mean"], 0.1 * mean, atol=1e-9)
    chex.assert_trees_all_close(statistics["variance"], 0.9 + 0.1 * variance, atol=1e-9)


def test_gradients_flow_through_the_statistics_of_the_batch(x64):
    norm = Normalize(BatchNorm())
    x = jax.random.normal(jax.random.key(0), (8, 3))
    variables = norm.init(jax.random.key(1), x, method="forward")

    def mean_output(offset):
        (z, _), _ = norm.apply(variables, x + offset, None, TRAIN, method="forward", mutable=["batch_stats"])
        return z.sum()

    # the batch's own mean takes a common offset away again
    assert abs(jax.grad(mean_output)(0.0)) < 1e-9


def test_initialization_leaves_running_statistics_alone(x64):
    bijection, variables, x, _ = build("batch norm")
    _, updated = bijection.apply(variables, x, None, INITIALIZE, method="forward", mutable=["batch_stats"])
    chex.assert_trees_all_equal(updated["batch_stats"], variables["batch_stats"])


@pytest.mark.parametrize("mask", [None, Checkerboard(1)])
def test_one_mean_and_scale_for_all_channels_count_for_each_of_them(mask, x64):
    norm = Normalize(own_parts.WholeImageNorm())
    x = 1 + 3 * jax.random.normal(jax.random.key(0), (1, 4, 4, 3))
    cells = None if mask is None else mask.cells(x.shape)
    x = x if mask is None else mask.only_transformed(x)
    variables = {"params": {"statistics": {"mean": jnp.array(0.4), "log_std": jnp.array(-0.7)}}}

    def normalized(x):
        return norm.apply(variables, x, cells, method="normalize")

    jacobian = jax.jacobian(lambda flat: normalized(flat.reshape(x.shape))[0].ravel())(x.ravel())
    np.testing.assert_allclose(normalized(x)[1], [np.linalg.slogdet(jacobian)[1]], rtol=1e-12)


def test_statistics_of_another_shape_are_refused():
    class PerPosition(Normalization):
        def __call__(self, x, cells=None, mode=EVALUATE):
            return jnp.zeros((1, *x.shape[1:])), jnp.zeros((1, *x.shape[1:]))

    message = refusal(Normalize(PerPosition()).apply, {}, jnp.ones((2, 4, 4, 3)), method="forward")
    assert "expected a normalization to return a log standard deviation of shape (1, 1, 1, 3)" in message
    assert "got (1, 4, 4, 3)" in message
