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
from realnvp_jax.bijections.normalization import Normalization, Statistics
from realnvp_jax.bijections.transforms import Transform
from realnvp_jax.masks import Mask, Parity


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
    normalization: Normalization | None = None

    def _mask(self, parity: Parity | None) -> Mask:
        return self.mask if parity is None else self.mask.with_parity(parity)

    def parameters(
        self,
        identity: Float[Array, "n *half"],
        shape: tuple[int, ...],
        context: Float[Array, "n context_size"] | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
        parity: Parity | None = None,
    ) -> Float[Array, "n *parameters"]:
        """What the conditioner makes of the identity half of an x of that shape."""
        cells = self._mask(parity).cells(shape)
        return self.conditioner(identity, cells, context, train=train, axis_name=axis_name)

    def transform_half(
        self,
        transformed: Float[Array, "n *half"],
        raw: Float[Array, "n *parameters"],
        *,
        train: bool = False,
        axis_name: str | None = None,
        parity: Parity | None = None,
    ) -> tuple[Float[Array, "n *half"], Float[Array, " n"], Statistics | None]:
        """(z_t, log_det, statistics that it was normalised by)."""
        transformed, log_derivative = self.transform.forward(transformed, raw)
        log_det = _sum_event(self._mask(parity).only_transformed(log_derivative))
        if self.normalization is None:
            return transformed, log_det, None
        statistics = self.normalization.statistics_of(transformed, train=train, axis_name=axis_name, parity=parity)
        transformed, normalization_log_det = self.normalization.normalize(transformed, statistics, parity)
        return transformed, log_det + normalization_log_det, statistics

    def transform_half_back(
        self,
        transformed: Float[Array, "n *half"],
        raw: Float[Array, "n *parameters"],
        statistics: Statistics | None,
        *,
        parity: Parity | None = None,
    ) -> tuple[Float[Array, "n *half"], Float[Array, " n"]]:
        """(x_t, log_det), the inverse of `transform_half` under the statistics that it used."""
        log_det = jnp.zeros(transformed.shape[:1], transformed.dtype)
        if self.normalization is not None:
            assert statistics is not None
            transformed, log_det = self.normalization.denormalize(transformed, statistics, parity)
        transformed, log_derivative = self.transform.inverse(transformed, raw)
        return transformed, log_det + _sum_event(self._mask(parity).only_transformed(log_derivative))

    def forward(self, x, context=None, *, train=False, axis_name=None, parity=None):
        """Data to latent. `parity`, in a stack of couplings, takes the place of the mask's own."""
        mask = self._mask(parity)
        identity, transformed = mask.split(x)
        raw = self.parameters(identity, x.shape, context, train=train, axis_name=axis_name, parity=parity)
        transformed, log_det, _ = self.transform_half(transformed, raw, train=train, axis_name=axis_name, parity=parity)
        return mask.merge(identity, transformed), log_det

    def inverse(self, z, context=None, *, parity=None):
        """Latent to data. `parity`, in a stack of couplings, takes the place of the mask's own."""
        mask = self._mask(parity)
        identity, transformed = mask.split(z)
        statistics = None
        if self.normalization is not None:
            statistics = self.normalization.statistics_of(transformed, parity=parity)
        raw = self.parameters(identity, z.shape, context, parity=parity)
        transformed, log_det = self.transform_half_back(transformed, raw, statistics, parity=parity)
        return mask.merge(identity, transformed), log_det


def _sum_event(x: Float[Array, "n *event"]) -> Float[Array, " n"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
