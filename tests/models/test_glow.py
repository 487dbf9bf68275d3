"""`glow_flow`."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from tests.helpers import perturb, refusal, small


def glow(**choices):
    return small("glow_flow", **{"num_scales": 2, "levels": 17, **choices})


def glow_problem(**choices):
    """(flow, perturbed parameters, x, context) in double precision."""
    flow = glow(**choices)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.2)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.uniform(0.5, 16.5, (5, 4, 4, 1)))
    context = jnp.asarray(random.standard_normal((5, 2))) if flow.context_size else None
    return flow, params, x, context


ONE_SCALE = {"num_scales": 1, "num_steps": 2}
CHOICES = [
    pytest.param({"context": 2}, marks=pytest.mark.slow),
    {"mixing": "lu", **ONE_SCALE},
    {"mixing": "conv1x1_plain", "scale_function": "sigmoid", **ONE_SCALE},
    pytest.param({"mixing": "permutation", "num_scales": 2, "masks": "both", "num_steps": 4}, marks=pytest.mark.slow),
    {"masks": "checkerboard", **ONE_SCALE},
    pytest.param({"mixing": "reversal", "scale_function": "soft_clamp", **ONE_SCALE}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("choices", CHOICES)
def test_glow_round_trips_and_has_the_log_det_of_its_jacobian(choices, x64):
    flow, params, x, context = glow_problem(**choices)
    z, log_det = flow.forward(params, x, context)
    back, inverse_log_det = flow.inverse(params, z, context)
    np.testing.assert_allclose(back, x, atol=1e-8)
    np.testing.assert_allclose(log_det, -inverse_log_det, atol=1e-8)
    one = None if context is None else context[0]
    jacobian = jax.jit(jax.jacfwd(lambda flat: flow.forward(params, flat.reshape(4, 4, 1), one)[0].ravel()))
    sign, expected = jnp.linalg.slogdet(jacobian(x[0].ravel()))
    assert sign != 0
    np.testing.assert_allclose(log_det[0], expected, atol=1e-8)
    log_prob = flow.log_prob(params, x, context)
    np.testing.assert_allclose(log_prob, jnp.sum(jax.scipy.stats.norm.logpdf(z), axis=(1, 2, 3)) + log_det, atol=1e-8)
    samples, said = flow.sample_and_log_prob(params, jax.random.key(2), (3,), context=one)
    np.testing.assert_allclose(flow.log_prob(params, samples, one), said, atol=1e-6)


def test_glow_depends_on_its_context(x64):
    flow, params, x, context = glow_problem(context=2)
    one, other = flow.log_prob(params, x, context), flow.log_prob(params, x, 1 - context)
    assert np.abs(one - other).min() > 1e-3
    assert "expected context of shape" in refusal(flow.log_prob, params, x)


def test_glow_is_initialized_from_a_batch(x64):
    flow = glow()
    random = np.random.default_rng(0)
    x = random.gamma(2.0, 1.5, (64, 4, 4, 1)).clip(0.1, 16.9)
    params = flow.init(jax.random.key(0), x)
    fresh = flow.init(jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(params, fresh)
    y, _ = flow.preprocessing.forward(jnp.asarray(x))
    squeezed = np.asarray(y).reshape(64, 2, 2, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(64, 4, 4)
    stored = jax.tree_util.tree_leaves_with_path(params["params"]["scales_0"])
    by_name = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in stored}
    mean = next(leaf for name, leaf in by_name.items() if "layers_0" in name and name.endswith("['mean']"))
    log_std = next(leaf for name, leaf in by_name.items() if "layers_0" in name and name.endswith("['log_std']"))
    assert (squeezed.shape, mean.shape) == ((64, 4, 4), (1, 4))
    np.testing.assert_allclose(np.sort(mean[0]), np.sort(squeezed.mean((0, 1))), atol=1e-6)
    np.testing.assert_allclose(np.sort(np.exp(log_std[0])), np.sort(squeezed.std((0, 1))), atol=1e-4)


def cells_that_condition(flow, params, step: int):
    """Which cells of a squeezed image [2, 2] change the log_det of a step alone."""
    stack = flow.bijection.bind(params).scales[0].behind.layers[0]
    layer, variables = stack.layer.unbind()
    layer = layer.at(stack.places[step])
    variables = jax.tree.map(lambda leaf: leaf[step], variables)
    x = jax.random.normal(jax.random.key(5), (1, 2, 2, 4))
    by_cell = jax.jacobian(lambda x: layer.apply(variables, x, method="forward")[1][0])(x)
    return np.abs(by_cell[0]).max(axis=-1) > 0


def test_checkerboards_alternate_and_both_masks_take_turns(x64):
    flow, params, _, _ = glow_problem(masks="checkerboard", **ONE_SCALE)
    np.testing.assert_array_equal(cells_that_condition(flow, params, 0), np.eye(2, dtype=bool))
    np.testing.assert_array_equal(cells_that_condition(flow, params, 1), ~np.eye(2, dtype=bool))
    both = glow(masks="both", num_steps=4)
    shapes = jax.eval_shape(lambda: both.init(jax.random.key(0)))["params"]["scales_1"]["behind"]["layers_0"]["layer"]
    outputs = [shapes[f"layers_{number}"]["conditioner"]["conv_out"]["bias"].shape for number in (2, 5)]
    assert outputs == [(2, 8), (2, 16)]  # shift and log_scale of 4 of 8 channels, or of all of them


def test_glow_refuses_masks_that_it_does_not_have():
    assert "expected masks to be one of ('channels', 'checkerboard', 'both'); got 'halves'" in refusal(
        glow, masks="halves"
    )
    assert "expected an even num_steps for masks='both'" in refusal(glow, masks="both", num_steps=3)


@pytest.mark.parametrize("shape", [(6, 4, 1), (4, 6, 1), (2, 2, 1), (5, 5, 1)])
def test_glow_refuses_sizes_that_it_cannot_divide(shape):
    assert f"got {shape[0]}x{shape[1]}" in refusal(realnvp_jax.glow_flow, shape, num_scales=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices", [{"mixing": "conv1x1_plain"}, {"masks": "checkerboard"}, {"masks": "both", "num_steps": 4}]
)
def test_glow_has_the_same_gradients_in_all_memory_modes(choices, x64):
    def gradients(memory):
        flow, params, x, _ = glow_problem(memory=memory, **{**ONE_SCALE, **choices})

        def loss(trainable):
            return flow.log_prob_train({**params, "params": trainable}, x)[0].mean()

        return jax.jit(jax.value_and_grad(loss))(params["params"])

    expected = gradients("store")
    for memory in ("remat", "invert"):
        chex.assert_trees_all_close(gradients(memory), expected, rtol=1e-6, atol=1e-8)
