"""Uniform dequantization."""

import jax.numpy as jnp

from realnvp_jax.mode import EVALUATE
from realnvp_jax.models.dequantizers.dequantizer import Dequantizer
from realnvp_jax.preprocessing import dequantize_each
from realnvp_jax.registry import register


@register("dequantizer", "uniform")
class UniformDequantizer(Dequantizer):
    """Pixels plus noise that is uniform on [0, 1)."""

    is_learned = False

    def __call__(self, x, key, indices, context=None, mode=EVALUATE):
        """(x + u, 0)."""
        y = dequantize_each(key, indices, x)
        return y, jnp.zeros(y.shape[:1], y.dtype)
