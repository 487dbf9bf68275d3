"""`fit`, and a loop of one's own."""

import chex
import jax
import numpy as np
import optax
import pytest

import realnvp_jax
from realnvp_jax.training.steps import NonFiniteLossError
from tests.training.helpers import FLOW, pixels


def test_fit_learns_and_leaves_its_argument_alone():
    params = FLOW.init(jax.random.key(0))
    before = jax.tree.map(np.array, params)
    images = np.repeat(pixels(2), 16, axis=0)
    fitted = realnvp_jax.fit(
        FLOW, params, images, jax.random.key(1), num_steps=60, batch_size=16, learning_rate=1e-2, progress=False
    )
    chex.assert_trees_all_equal(params, before)
    chex.assert_trees_all_equal_structs(params, fitted)
    key = jax.random.key(2)
    assert FLOW.bits_per_dim(fitted, key, images).mean() < FLOW.bits_per_dim(params, key, images).mean() - 0.2
    again = realnvp_jax.fit(
        FLOW, params, images, jax.random.key(1), num_steps=60, batch_size=16, learning_rate=1e-2, progress=False
    )
    chex.assert_trees_all_equal(fitted, again)


def test_fit_refuses_bad_data():
    params = FLOW.init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"expected x of shape \(n, 4, 4, 1\) with n > 0; got \(3, 4, 4\)"):
        realnvp_jax.fit(FLOW, params, pixels(3)[..., 0], jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match="got values from 0 to 9"):
        realnvp_jax.fit(FLOW, params, pixels() // 2 * 9, jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match="batch_size of at least 1; got 0"):
        realnvp_jax.fit(FLOW, params, pixels(), jax.random.key(0), num_steps=1, batch_size=0)
    conditional = realnvp_jax.image_flow((4, 4, 1), num_scales=1, levels=4, context=2)
    with pytest.raises(ValueError, match=r"expected context of shape \(12, 2\); got none"):
        realnvp_jax.fit(conditional, params, pixels(), jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match=r"expected context of shape \(12, 2\); got \(12, 1\)"):
        realnvp_jax.fit(conditional, params, pixels(), jax.random.key(0), num_steps=1, context=np.ones((12, 1)))
    with pytest.raises(ValueError, match="built without a context size"):
        realnvp_jax.fit(FLOW, params, pixels(), jax.random.key(0), num_steps=1, context=np.ones((12, 1)))
    with pytest.raises(ValueError, match="NaN or infinite ones in 4 of 4 rows, the first in row 0 "):
        realnvp_jax.fit(FLOW, params, np.full((4, 4, 4, 1), np.nan), jax.random.key(0), num_steps=3, progress=False)
    with pytest.raises(NonFiniteLossError, match="not finite at step"):
        realnvp_jax.fit(
            FLOW, params, pixels(), jax.random.key(0), num_steps=9, learning_rate=1e30, clip_norm=0, progress=False
        )


def test_gradients_are_of_the_trainable_parameters_only():
    """The loop that the README shows: an optimizer over params["params"]."""
    params = FLOW.init(jax.random.key(0))
    optimizer = optax.adam(1e-3)
    opt_state = optimizer.init(params["params"])

    @jax.jit
    def step(params, opt_state, x):
        def loss(trainable):
            log_prob, updated = FLOW.log_prob_train({**params, "params": trainable}, x)
            return -log_prob.mean(), updated

        (value, params), gradient = jax.value_and_grad(loss, has_aux=True)(params["params"])
        updates, opt_state = optimizer.update(gradient, opt_state)
        return {**params, "params": optax.apply_updates(params["params"], updates)}, opt_state, value

    x = FLOW.dequantize(jax.random.key(1), pixels())
    losses = []
    for _ in range(20):
        params, opt_state, value = step(params, opt_state, x)
        losses.append(float(value))
    assert losses[-1] < losses[0]
