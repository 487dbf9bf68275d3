"""The memory modes of stacks."""

import chex
import jax
import jax.numpy as jnp
import pytest

from realnvp_jax.bijections.stack import Stack
from realnvp_jax.mode import TRAIN
from tests.helpers import ZOO, build, perturb, slow_but

WHOLE_MODELS = ("RealNVP", "Glow", "vectors,")  # tests/models has their memory modes
KEEPS_SHAPE = [name for name in ZOO if "squeeze" not in name and not name.startswith(WHOLE_MODELS)]
QUICK = ("batch norm", "act norm", "checkerboard coupling 0", "vector coupling 0", "1x1 convolution")


def variables_of_stack(bijection, x, context):
    stack = Stack(bijection, 2)
    variables = jax.jit(lambda key: stack.init(key, x, context, method="forward"))(jax.random.key(0))
    return perturb(variables, jax.random.key(1), 0.1)


def stack_gradients(bijection, variables, x, context, memory):
    """(value, updated statistics, gradients in parameters, x and context) of a training pass through two layers."""
    stack = Stack(bijection, 2, memory=memory)

    def loss(trainable, x, context):
        (z, log_det), updated = stack.apply(
            {**variables, "params": trainable}, x, context, TRAIN, method="forward", mutable=["batch_stats"]
        )
        return jnp.sum(jnp.sin(z)) + jnp.sum(jnp.cos(log_det)), updated

    arguments = (0, 1) if context is None else (0, 1, 2)
    gradient = jax.jit(jax.value_and_grad(loss, arguments, has_aux=True))
    (value, updated), gradients = gradient(variables.get("params", {}), x, context)
    return value, updated, gradients


@pytest.mark.parametrize("name", slow_but(QUICK, KEEPS_SHAPE))
def test_every_bijection_has_the_same_gradients_in_all_memory_modes(name, x64):
    bijection, _, x, context = build(name)
    variables = variables_of_stack(bijection, x, context)
    expected = stack_gradients(bijection, variables, x, context, "store")
    for memory in ("remat", "invert"):
        found = stack_gradients(bijection, variables, x, context, memory)
        chex.assert_trees_all_close(found, expected, rtol=1e-6, atol=1e-8)
