"""The vision transformer as a conditioner, and its attention."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax import EVALUATE, TRAIN, ViT
from realnvp_jax.networks.attention import SelfAttention
from tests.helpers import perturb, refusal, small

SIZES = {"vit_features": 8, "vit_heads": 2, "vit_patch": 2, "out_features": 3}


def problem():
    """(parameters, an identity half, a context for each position)."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 6, 2))
    context = jax.random.normal(jax.random.key(1), (2, 4, 6, 5))
    return perturb(ViT(**SIZES).init(jax.random.key(2), x, None, context), jax.random.key(3), 0.3), x, context


def test_attention_is_a_weighted_mean_of_values(x64):
    x = jax.random.normal(jax.random.key(0), (2, 5, 6))
    attention = SelfAttention(heads=3)
    variables = perturb(attention.init(jax.random.key(1), x), jax.random.key(2))
    dense = variables["params"]["query_key_value"]
    projected = np.asarray(x @ dense["kernel"]) + np.asarray(dense["bias"])
    expected = np.zeros((2, 5, 6))
    for head in range(3):
        query, key, value = (projected[..., 6 * i + 2 * head :][..., :2] for i in range(3))
        weights = np.exp(query @ key.transpose(0, 2, 1) / np.sqrt(2))
        weights /= weights.sum(axis=-1, keepdims=True)
        expected[..., 2 * head : 2 * head + 2] = weights @ value
    np.testing.assert_allclose(attention.apply(variables, x), expected, rtol=1e-10)


def test_it_starts_at_zero_and_then_every_output_sees_every_input(x64):
    params, x, context = problem()
    network = ViT(**SIZES)
    outputs, _ = network.init_with_output(jax.random.key(0), x, None)
    np.testing.assert_array_equal(outputs, jnp.zeros((2, 4, 6, 3)))
    jacobian = jax.jacobian(lambda x: network.apply(params, x, None, context)[0].sum(-1))(x)[:, :, 0]
    assert jacobian.shape == (4, 6, 4, 6, 2)
    assert np.abs(jacobian).min() > 0


def test_a_patch_is_put_back_where_it_was_taken_from():
    """With one patch for all positions, and each position's own outputs."""
    x = jnp.zeros((1, 4, 6, 1))
    network = ViT(vit_features=4, vit_heads=1, vit_patch=2, out_features=2)
    params = network.init(jax.random.key(0), x, None)
    bias = jnp.arange(8.0)
    params["params"]["out"]["bias"] = bias
    outputs = network.apply(params, x, None)
    np.testing.assert_array_equal(outputs[0, :2, :2], bias.reshape(2, 2, 2))
    np.testing.assert_array_equal(outputs[0, 2:, 4:], bias.reshape(2, 2, 2))


def test_training_has_the_gradients_of_evaluation_and_bfloat16_is_for_training_alone(x64):
    params, x, context = problem()

    def gradient(mode, **choices):
        network = ViT(**SIZES, **choices)
        return jax.jit(jax.grad(lambda params: jnp.sum(jnp.sin(network.apply(params, x, None, context, mode)))))(params)

    expected = gradient(EVALUATE, unroll=True)
    chex.assert_trees_all_close(gradient(TRAIN), expected, atol=1e-10)
    for path, leaf in jax.tree_util.tree_leaves_with_path(expected):
        assert np.abs(leaf).max() > 1e-12, jax.tree_util.keystr(path)
    half, full = ViT(**SIZES, dtype="bfloat16"), ViT(**SIZES)
    np.testing.assert_array_equal(half.apply(params, x, None, context), full.apply(params, x, None, context))
    trained, expected = (network.apply(params, x, None, context, TRAIN) for network in (half, full))
    assert trained.dtype == jnp.float64
    assert 0 < np.abs(trained - expected).max() < 0.05 * np.abs(expected).max()


def test_sizes_that_attention_cannot_have_are_refused():
    message = refusal(small, "glow_flow", conditioner="vit", vit_heads=3, vit_features=16)
    assert message == "expected vit_heads to divide the 16 features; got 3: try 15 features"
    assert "use 'mlp'" in refusal(ViT(**SIZES).init, jax.random.key(0), jnp.ones((2, 3)), None)
    flow = realnvp_jax.glow_flow((6, 6, 1), 1, 1, conditioner="vit", vit_patch=2)
    assert "expected vit_patch to divide the 3x3 positions of a scale; got 2" in refusal(flow.init, jax.random.key(0))
    flow = realnvp_jax.glow_flow((256, 160, 3), 1, 1, conditioner="vit")
    message = refusal(flow.init, jax.random.key(0))
    assert "expected at most 4096 positions (64x64) for attention, whose memory grows with their square" in message
    assert "got 128x80: use a larger vit_patch" in message


@pytest.mark.slow
def test_a_flow_of_transformers_is_trained_in_bfloat16():
    pixels = np.random.default_rng(0).integers(0, 4, (16, 4, 4, 1)).astype(np.uint8)
    flow = small(
        "glow_flow", levels=17, conditioner="vit", vit_features=16, dtype="bfloat16", masks="both", num_steps=2
    )
    params = flow.init(jax.random.key(0), pixels.astype(np.float32) + 0.5)
    fitted, history = realnvp_jax.fit(
        flow, params, pixels, jax.random.key(1), num_steps=60, learning_rate=3e-3, progress=False, history=True
    )
    assert history.train[-5:].mean() < history.train[:5].mean() - 0.2
    z, log_det = flow.forward(fitted, pixels.astype(np.float32) + 0.5)
    back, inverse_log_det = flow.inverse(fitted, z)
    np.testing.assert_allclose(back, pixels + 0.5, atol=1e-3)
    np.testing.assert_allclose(log_det, -inverse_log_det, atol=1e-3)
