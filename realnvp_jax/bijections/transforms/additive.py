"""The transform of NICE (Dinh et al., 2014): z = x + shift."""

import jax.numpy as jnp

from realnvp_jax.bijections.transforms.transform import Transform
from realnvp_jax.registry import register


@register("transform", "additive")
class Additive(Transform):
    """x + shift, elementwise: volume-preserving."""

    preserves_volume = True

    @property
    def parameters_per_dim(self) -> int:
        """The shift."""
        return 1

    def forward(self, x, raw):
        """Value and elementwise log-derivative, 0."""
        return x + raw, jnp.zeros_like(x)

    def inverse(self, z, raw):
        """Value and elementwise log-derivative, 0."""
        return z - raw, jnp.zeros_like(z)
