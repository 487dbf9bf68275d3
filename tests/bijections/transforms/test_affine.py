"""The scale functions of the affine transform."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from tests.helpers import refusal, small

H = np.linspace(-9, 9, 37)


@pytest.mark.parametrize(
    ("scale_function", "expected"),
    [
        ("tanh", np.exp(0.7 * np.tanh(H))),
        ("sigmoid", 1 / (1 + np.exp(-(H + 2)))),
        ("soft_clamp", np.exp(2 * np.tanh(H / 2))),
    ],
)
def test_the_scale_is_the_function_of_the_raw_output(scale_function, expected, x64):
    initial_scale = 0.7 if scale_function == "tanh" else 1.0
    transform = realnvp_jax.Affine(initial_scale, scale_function=scale_function)
    x = jnp.full((len(H), 1), 1.5)
    raw = jnp.stack([jnp.full(len(H), -0.25), jnp.asarray(H)], axis=-1)
    variables = transform.init(jax.random.key(0), x, raw, method="forward")
    z, log_derivative = transform.apply(variables, x, raw, method="forward")
    np.testing.assert_allclose(z[:, 0], 1.25 * expected, rtol=1e-12)
    np.testing.assert_allclose(log_derivative[:, 0], np.log(expected), rtol=1e-9)
    assert bool(variables.get("params")) == (scale_function == "tanh")


def test_placing_changes_the_default_scale_function_alone():
    place = {"in_cells": True, "before_batch_norm": True}
    assert realnvp_jax.Affine().placed(**place) == realnvp_jax.Affine(0.0, False, True)
    sigmoid = realnvp_jax.Affine(scale_function="sigmoid")
    assert sigmoid.placed(**place) == sigmoid


def test_scale_functions_by_name():
    flow = small("image_flow", transform="affine", scale_function="soft_clamp")
    assert flow == small("image_flow", transform=realnvp_jax.Affine(scale_function="soft_clamp"))
    message = refusal(small, "glow_flow", scale_function="exp")
    assert message == "expected scale_function to be one of ('tanh', 'sigmoid', 'soft_clamp'); got 'exp'"
    message = refusal(small, "glow_flow", scale_function="sigmoid", initial_scale=0.5)
    assert "expected the default initial_scale, 1.0, for scale_function='sigmoid'" in message
