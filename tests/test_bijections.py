import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.masks import Checkerboard
from realnvp_jax.mode import INITIALIZE, TRAIN
from realnvp_jax.networks.statistics import BatchNorm
from tests.helpers import BATCH, ZOO, build, perturb

zoo = pytest.mark.parametrize("name", ZOO)


@zoo
def test_forward_then_inverse_is_the_identity_and_log_dets_cancel(name, x64):
    bijection, variables, x, context = build(name)
    z, log_det = jax.jit(lambda x: bijection.apply(variables, x, context, method="forward"))(x)
    back, inverse_log_det = jax.jit(lambda z: bijection.apply(variables, z, context, method="inverse"))(z)
    chex.assert_shape([log_det, inverse_log_det], (BATCH,))
    chex.assert_equal_shape([x, back])
    chex.assert_trees_all_close(back, x, atol=1e-9)
    chex.assert_trees_all_close(log_det, -inverse_log_det, atol=1e-9)


@zoo
def test_log_det_is_that_of_the_autodiff_jacobian(name, x64):
    bijection, variables, x, context = build(name)
    one_context = None if context is None else context[:1]

    def flat_forward(flat):
        z, _ = bijection.apply(variables, flat.reshape((1, *x.shape[1:])), one_context, method="forward")
        return z.ravel()

    jacobian = jax.jit(jax.jacfwd(flat_forward))(x[0].ravel())
    sign, expected = jnp.linalg.slogdet(jacobian)
    _, log_det = jax.jit(lambda x: bijection.apply(variables, x, one_context, method="forward"))(x[:1])
    assert sign != 0
    np.testing.assert_allclose(log_det[0], expected, atol=1e-9)


@zoo
def test_every_parameter_gets_a_gradient_in_evaluation(name, x64):
    bijection, variables, x, context = build(name)

    def loss(parameters):
        z, log_det = bijection.apply({**variables, "params": parameters}, x, context, method="forward")
        return jnp.sum(jnp.sin(z)) + jnp.sum(log_det)

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(variables.get("params", {}))):
        assert np.abs(gradient).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", ["batch norm", "channel coupling 0"])
def test_jit_changes_nothing(name, x64):
    bijection, variables, x, context = build(name)

    def forward(variables, x):
        return bijection.apply(variables, x, context, method="forward")

    chex.assert_trees_all_close(jax.jit(forward)(variables, x), forward(variables, x), atol=1e-12)


def test_an_example_does_not_depend_on_its_batch_in_evaluation(x64):
    bijection, variables, x, _ = build("RealNVP")
    forward = jax.jit(lambda x: bijection.apply(variables, x, method="forward"))
    together = forward(x)
    alone = forward(x[:1])
    chex.assert_trees_all_close(jax.tree.map(lambda a: a[:1], together), alone, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in ZOO if name.endswith(("coupling 0", "coupling 1"))])
def test_couplings_leave_the_identity_half_alone_and_see_nothing_else(name, x64):
    coupling, variables, x, _ = build(name)
    assert isinstance(coupling, Coupling)
    identity, transformed = coupling.mask.split(x)
    forward = jax.jit(lambda x: coupling.apply(variables, x, method="forward"))
    z, log_det = forward(x)
    np.testing.assert_array_equal(coupling.mask.split(z)[0], identity)
    # log_scale depends on the identity half only, so a change of the transformed half cannot change log_det
    moved = coupling.mask.merge(identity, transformed + 1)
    np.testing.assert_array_equal(forward(moved)[1], log_det)

    # and neither does shift: every element of the transformed half depends on itself alone
    def transformed_half(flat):
        z, _ = forward(coupling.mask.merge(identity[:1], flat.reshape(transformed[:1].shape)))
        return coupling.mask.only_transformed(coupling.mask.split(z)[1]).ravel()

    jacobian = np.asarray(jax.jacfwd(transformed_half)(transformed[0].ravel()))
    np.testing.assert_array_equal(jacobian, np.diag(np.diag(jacobian)))
    active = coupling.mask.only_transformed(jnp.ones_like(transformed[:1])).ravel()
    np.testing.assert_array_equal(np.diag(jacobian) > 0, active == 1)


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


def test_a_parameter_that_is_not_perturbed_would_hide_the_log_scale(x64):
    """At its initial value a checkerboard coupling has log_scale 0: the zoo must not be tested there."""
    bijection, variables, x, _ = build("checkerboard coupling 0")
    fresh = jax.jit(lambda key: bijection.init(key, x, method="forward"))(jax.random.key(0))
    assert fresh["params"]["transform"]["scale"] == 0
    assert perturb(fresh, jax.random.key(1))["params"]["transform"]["scale"] != 0
    assert variables["params"]["transform"]["scale"] != 0


KEEPS_SHAPE = [name for name in ZOO if "squeeze" not in name]


def stack_gradients(bijection, x, context, memory):
    """(value, updated statistics, gradients in parameters, x and context) of a training pass through two layers."""
    stack = Stack(bijection, 2, memory=memory)
    variables = jax.jit(lambda key: stack.init(key, x, context, method="forward"))(jax.random.key(0))
    variables = perturb(variables, jax.random.key(1), 0.1)

    def loss(trainable, x, context):
        (z, log_det), updated = stack.apply(
            {**variables, "params": trainable}, x, context, TRAIN, method="forward", mutable=["batch_stats"]
        )
        return jnp.sum(jnp.sin(z)) + jnp.sum(jnp.cos(log_det)), updated

    arguments = (0, 1) if context is None else (0, 1, 2)
    gradient = jax.jit(jax.value_and_grad(loss, arguments, has_aux=True))
    (value, updated), gradients = gradient(variables.get("params", {}), x, context)
    return value, updated, gradients


@pytest.mark.parametrize("name", KEEPS_SHAPE)
def test_every_bijection_has_the_same_gradients_in_all_memory_modes(name, x64):
    bijection, _, x, context = build(name)
    expected = stack_gradients(bijection, x, context, "store")
    for memory in ("remat", "invert"):
        found = stack_gradients(bijection, x, context, memory)
        chex.assert_trees_all_close(found, expected, rtol=1e-6, atol=1e-8)


def test_initialization_leaves_running_statistics_alone(x64):
    bijection, variables, x, _ = build("batch norm")
    _, updated = bijection.apply(variables, x, None, INITIALIZE, method="forward", mutable=["batch_stats"])
    chex.assert_trees_all_equal(updated["batch_stats"], variables["batch_stats"])
