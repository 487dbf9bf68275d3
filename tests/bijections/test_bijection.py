"""What holds for every bijection of the zoo."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import BATCH, ZOO, build, perturb, slow_but

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
        z, log_det = bijection.apply(variables, flat.reshape((1, *x.shape[1:])), one_context, method="forward")
        return z.ravel(), log_det

    jacobian, log_det = jax.jit(jax.jacfwd(flat_forward, has_aux=True))(x[0].ravel())
    sign, expected = jnp.linalg.slogdet(jacobian)
    assert sign != 0
    np.testing.assert_allclose(log_det[0], expected, atol=1e-9)


SLOW = ("RealNVP", "RealNVP, one scale, odd", "RealNVP, additive, act norm", "Glow", "stack", "coupling of splines")


@pytest.mark.parametrize("name", slow_but(ZOO.keys() - SLOW, ZOO))
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


def test_a_parameter_that_is_not_perturbed_would_hide_the_log_scale(x64):
    """At its initial value a checkerboard coupling has log_scale 0: the zoo must not be tested there."""
    bijection, variables, x, _ = build("checkerboard coupling 0")
    fresh = jax.jit(lambda key: bijection.init(key, x, method="forward"))(jax.random.key(0))
    assert fresh["params"]["transform"]["scale"] == 0
    assert perturb(fresh, jax.random.key(1))["params"]["transform"]["scale"] != 0
    assert variables["params"]["transform"]["scale"] != 0
