"""Shapes that a user's own parts return: another one that broadcasts would make a density silently wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax import EVALUATE
from tests.helpers import refusal


class OneDerivative(realnvp_jax.Transform):
    parameters_per_dim = 1

    def forward(self, x, raw):
        return 2 * x, jnp.full((1,) * x.ndim, jnp.log(2.0))

    def inverse(self, z, raw):
        return z / 2, -jnp.full((1,) * z.ndim, jnp.log(2.0))


class ColumnOfLogDet(realnvp_jax.Bijection):
    def forward(self, x, context=None, mode=EVALUATE):
        return x, jnp.zeros((x.shape[0], 1))

    def inverse(self, z, context=None):
        return z, jnp.zeros((z.shape[0], 1))


@dataclasses.dataclass(frozen=True)
class SummedBase(realnvp_jax.Normal):
    def log_density(self, z):
        return super().log_density(z).sum(axis=1, keepdims=True)


class SharedNoise(realnvp_jax.Dequantizer):
    is_learned = False

    def __call__(self, x, key, indices, context=None, mode=EVALUATE):
        return x + 0.5, jnp.zeros((1,))


@pytest.mark.parametrize("make", ["vector_flow", "masked_autoregressive_flow"])
def test_log_derivatives_of_a_transform(make):
    flow = getattr(realnvp_jax, make)(4, num_layers=2, transform=OneDerivative(), normalization="none")
    message = refusal(flow.init, jax.random.key(0))
    assert "expected OneDerivative to return log-derivatives by forward of shape" in message


def test_log_det_of_a_bijection():
    flow = realnvp_jax.Flow((3,), ColumnOfLogDet())
    params, x = flow.init(jax.random.key(0)), np.zeros((5, 3), np.float32)
    assert "expected ColumnOfLogDet to return log_det by forward of shape (5,); got (5, 1)" in refusal(
        flow.log_prob, params, x
    )
    assert "log_det by inverse" in refusal(flow.inverse, params, x)


def test_log_density_of_a_base():
    flow = realnvp_jax.vector_flow(2, num_layers=2, base=SummedBase())
    params = flow.init(jax.random.key(0))
    expected = "expected SummedBase to return the log-density of every element of shape (5, 2); got (5, 1)"
    assert expected in refusal(flow.log_prob, params, np.zeros((5, 2), np.float32))
    assert "SummedBase" in refusal(flow.sample_and_log_prob, params, jax.random.key(1), (5,))


def test_values_of_a_dequantizer():
    flow = realnvp_jax.image_flow(
        (2, 2, 1), num_scales=1, base_features=2, num_blocks=1, levels=4, dequantizer=SharedNoise()
    )
    params, x = flow.init(jax.random.key(0)), np.zeros((3, 2, 2, 1), np.uint8)
    message = refusal(flow.bits_per_dim, params, jax.random.key(0), x)
    assert "expected SharedNoise to return log q(y | x) of shape (3,); got (1,)" in message
