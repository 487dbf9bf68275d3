"""Coupling layers (Sections 3.3 to 3.5 of the paper).

The mask splits x into an identity half x_i and a transformed half x_t. A conditioner computes the parameters of
an elementwise transform from x_i alone,

    z_i = x_i,    z_t = normalise(transform(x_t; conditioner(x_i))),

so the Jacobian is triangular and both directions need one evaluation of the conditioner. The transforms are in
`realnvp_jax.bijections.transforms`.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.transforms import Transform
from realnvp_jax.masks import Mask


class Coupling(Bijection):
    """A coupling layer.

    Attributes:
      mask: which half is which.
      conditioner: network from (identity half, mask cells, context) to the parameters of the transform.
      transform: elementwise transform of the transformed half.
      normalization: bijection on the transformed half behind the transform, or None.
    """

    mask: Mask
    conditioner: nn.Module
    transform: Transform
    normalization: Bijection | None = None

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        identity, transformed = self.mask.split(x)
        cells = self.mask.cells(x.shape)
        raw = self.conditioner(identity, cells, context, train=train, axis_name=axis_name)
        transformed, log_derivative = self.transform.forward(transformed, raw)
        log_det = _sum_event(self.mask.only_transformed(log_derivative))
        if self.normalization is not None:
            transformed, normalization_log_det = self.normalization.forward(
                transformed, train=train, axis_name=axis_name
            )
            log_det = log_det + normalization_log_det
        return self.mask.merge(identity, transformed), log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        identity, transformed = self.mask.split(z)
        log_det = jnp.zeros(z.shape[:1], z.dtype)
        if self.normalization is not None:
            transformed, log_det = self.normalization.inverse(transformed)
        raw = self.conditioner(identity, self.mask.cells(z.shape), context)
        transformed, log_derivative = self.transform.inverse(transformed, raw)
        log_det = log_det + _sum_event(self.mask.only_transformed(log_derivative))
        return self.mask.merge(identity, transformed), log_det


def _sum_event(x: Float[Array, "n *event"]) -> Float[Array, " n"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
