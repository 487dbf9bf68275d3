"""Scales that cannot be, and parts of flows of images that cannot be."""

import jax
import jax.numpy as jnp
import pytest

import realnvp_jax
from realnvp_jax.bijections.prior import SplitPrior
from realnvp_jax.bijections.squeeze import Squeeze
from realnvp_jax.models.multiscale import Scale
from tests.helpers import refusal, small


@pytest.mark.parametrize("channels", [1, 3])
def test_a_split_prior_without_channels_to_split_is_refused(channels):
    x = jnp.zeros((2, 4, 4, channels))
    scale = Scale(factors_out=True, prior=SplitPrior())
    message = refusal(scale.init, jax.random.key(0), x, method="forward")
    assert message.startswith("expected an even number of channels, of which a scale factors out half; got")
    assert message.endswith(f"got {channels} in images of shape (4, 4, {channels}): squeeze them first")
    assert f"got {channels}" in refusal(scale.apply, {}, x, method="take_apart")
    squeezed = Scale(squeeze=Squeeze(), factors_out=True, prior=SplitPrior())
    (kept, latent, _), _ = squeezed.init_with_output(jax.random.key(0), x, method="forward")
    assert kept.shape == latent.shape == (2, 2, 2, 2 * channels)


def test_mixtures_of_no_components_are_refused():
    message = refusal(small, "glow_flow", transform="mixture_affine", num_logistics=0)
    assert message == "expected num_logistics of at least 1; got 0"
    assert "expected num_components of at least 1; got 0" in refusal(realnvp_jax.pixelcnn_flow, num_components=0)
