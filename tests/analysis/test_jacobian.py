"""log_det against the Jacobian."""

import jax
import numpy as np
import pytest

from realnvp_jax import Affine, vector_flow
from realnvp_jax.analysis.jacobian import log_det_errors
from tests.analysis.flows import AUTOREGRESSIVE, CONDITIONAL, IMAGES, PIXELCNN, normal, params_of, pixels_of, refused
from tests.helpers import perturb


class OnePercentOff(Affine):
    """An affine transform whose log-derivative is wrong by 1%, in both directions."""

    def forward(self, x, raw):
        z, log_derivative = super().forward(x, raw)
        return z, 1.01 * log_derivative

    def inverse(self, z, raw):
        x, log_derivative = super().inverse(z, raw)
        return x, 1.01 * log_derivative


@pytest.mark.slow
@pytest.mark.parametrize("flow", [IMAGES, PIXELCNN, CONDITIONAL], ids=["RealNVP", "PixelCNN", "with context"])
def test_images(flow):
    x = pixels_of(flow, 2) + np.float32(0.37)
    context = np.eye(2, 3, dtype=np.float32) if flow.context_size else None
    errors = log_det_errors(flow, params_of(flow), x, context)
    assert errors.shape == (2,)
    assert np.abs(errors).max() < 1e-10


@pytest.mark.slow
def test_vectors():
    assert np.abs(log_det_errors(AUTOREGRESSIVE, params_of(AUTOREGRESSIVE), normal(2, 2))).max() < 1e-10


def test_a_log_det_that_is_wrong_by_one_percent_is_off_by_just_that():
    x = normal(5, 2)
    right, wrong = (vector_flow(2, 2, (8,), transform=transform) for transform in (Affine(), OnePercentOff()))
    params = perturb(right.init(jax.random.key(0)), jax.random.key(1), size=0.3)
    errors = log_det_errors(wrong, params, x)
    np.testing.assert_allclose(log_det_errors(right, params, x), 0, atol=1e-10)
    np.testing.assert_allclose(errors, wrong.forward(params, x)[1] - right.forward(params, x)[1], atol=1e-5)
    assert np.abs(errors).max() > 1e-3


def test_a_jacobian_that_is_too_large_is_refused():
    flow = vector_flow(1025, 2, (4,))
    refused(ValueError, "at most 1024 dimensions; got 1025", log_det_errors, flow, {}, np.zeros((1, 1025)))
