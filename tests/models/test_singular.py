"""Matrices that are singular are named when parameters are loaded and while a flow is trained."""

import dataclasses

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import realnvp_jax
from configs import smoke
from realnvp_jax.models.singular import singular_matrix
from realnvp_jax.training.steps import NonFiniteLossError
from tests.helpers import refusal, small

KEY = jax.random.key(0)
MATRIX = "params/scales_0/behind/layers_0/layer/layers_1/matrix"


def flow_and_params(singular: bool = True):
    """A Glow with two steps, of which the second may have a matrix of rank 3."""
    flow = small("glow_flow", levels=17, mixing="conv1x1_plain", num_steps=2)
    flat = flax.traverse_util.flatten_dict(flow.init(KEY), sep="/", keep_empty_nodes=True)
    if singular:
        flat[MATRIX] = flat[MATRIX].at[1, :, 3].set(flat[MATRIX][1, :, :3] @ jnp.array([0.3, -0.7, 1.1]))
    return flow, flax.traverse_util.unflatten_dict(flat, sep="/")


def test_a_matrix_that_is_singular_in_its_precision_is_found():
    assert singular_matrix(*flow_and_params(singular=False)) is None
    flow, params = flow_and_params()
    assert np.abs(np.linalg.det(np.asarray(params["params"]["scales_0"]["behind"]["layers_0"]["layer"]["layers_1"]
                                           ["matrix"][1], np.float64))) > 0  # fmt: skip
    assert singular_matrix(flow, params) == f"{MATRIX}[1]"
    assert singular_matrix(flow, jax.tree.map(lambda leaf: leaf * np.nan, params)) is None
    factored = small("glow_flow", levels=17)
    assert singular_matrix(factored, factored.init(KEY)) is None


def test_a_flow_with_a_singular_matrix_is_not_loaded_and_not_trained(tmp_path):
    flow, params = flow_and_params()
    realnvp_jax.save(tmp_path / "flow", flow, params)
    message = refusal(realnvp_jax.load, tmp_path / "flow")
    assert message.startswith(f"expected invertible matrices; got a singular one, '{MATRIX}[1]': save other parameters")
    pixels = np.zeros((4, 4, 4, 1), np.uint8)
    message = refusal(realnvp_jax.fit, flow, params, pixels, KEY, num_steps=1)
    assert message.endswith("[1]': start from other parameters")


def to_zero():
    """An optimizer that sets every parameter to 0 with its first update, and then descends."""

    def update(gradients, count, params):
        first = jax.tree.map(jnp.negative, params)
        later = jax.tree.map(lambda leaf: -0.01 * leaf, gradients)
        return jax.tree.map(lambda one, other: jnp.where(count == 0, one, other), first, later), count + 1

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


def test_a_matrix_that_becomes_singular_during_fit_is_named():
    flow = small("vector_flow", mixing="conv1x1_plain")
    x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    with pytest.raises(NonFiniteLossError, match=r"at step 2: the matrix 'params/.*/matrix\[0\]' has become singular"):
        realnvp_jax.fit(flow, flow.init(KEY, x), x, KEY, num_steps=3, optimizer=to_zero())


def test_a_run_whose_matrix_becomes_singular_says_so_and_its_checkpoint_is_not_loaded(tmp_path):
    @realnvp_jax.register("optimizer", "zero_of_a_test")
    @dataclasses.dataclass(frozen=True)
    class Zero(realnvp_jax.Optimizer):
        """`to_zero`."""

        def transformation(self, schedule):
            return to_zero()

    config = smoke.get_config()
    config.num_steps, config.ema_decay = 2, 0.0
    config.evaluate.every = config.checkpoint.every = config.evaluate.log_every = 2
    config.optimizer.name = "zero_of_a_test"
    config.model.name, config.model.mixing = "glow_flow", "conv1x1_plain"
    config.model.num_scales, config.model.num_steps, config.model.base_features = 1, 1, 2
    with pytest.raises(NonFiniteLossError) as caught:
        realnvp_jax.train(config, tmp_path / "run")
    message = str(caught.value)
    assert f"at step 2: the matrix '{MATRIX}[0]' has become singular, which makes every density 0: in a new" in message
    assert len(message) <= 400 + len(str(tmp_path))
    config.num_steps = config.evaluate.every = config.checkpoint.every = 1  # the singular matrix is in a checkpoint
    with pytest.raises(NonFiniteLossError, match="has become singular"):
        realnvp_jax.train(config, tmp_path / "new")
