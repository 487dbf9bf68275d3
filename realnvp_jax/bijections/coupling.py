"""Coupling layers (Sections 3.3 to 3.5 of the paper).

The mask splits x into an identity half x_i and a transformed half x_t. A conditioner computes the parameters of
an elementwise transform from x_i alone,

    z_i = x_i,    z_t = normalize(transform(x_t; conditioner(x_i))),

so the Jacobian is triangular and both directions need one evaluation of the conditioner. The transforms are in
`realnvp_jax.bijections.transforms`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection, Context, Values, run
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.transforms import Transform
from realnvp_jax.copies import fresh_copy
from realnvp_jax.masks import Mask
from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.statistics import Normalization


class Coupling(Bijection):
    """A coupling layer.

    Attributes:
      mask: which half is which.
      conditioner: network from (identity half, mask cells, context) to the parameters of the transform.
      transform: elementwise transform of the transformed half.
      normalization: bijection of the transformed half after the transform, or None.
    """

    mask: Mask
    conditioner: Conditioner
    transform: Transform
    normalization: Normalize | None = None

    def at(self, place):
        """The layer with a mask of another parity."""
        return self.clone(mask=self.mask.with_parity(place))

    def parameters(
        self, identity: Float[Array, "n *half"], shape: tuple[Any, ...], context: Context = None, mode: Mode = EVALUATE
    ) -> Float[Array, "n *parameters"]:
        """The conditioner's output for the identity half of an x with the given shape."""
        return self.conditioner(identity, self.mask.cells(shape), context, mode)

    def transform_half(
        self, transformed: Float[Array, "n *half"], raw: Float[Array, "n *parameters"], mode: Mode = EVALUATE
    ) -> Values:
        """(z_t, log_det)."""
        transformed, log_derivative = self.transform.checked("forward", transformed, raw)
        log_derivative = self.mask.only_transformed(log_derivative)
        self.transform.note_log_scales(log_derivative)
        log_det = _sum_event(log_derivative)
        if self.normalization is None:
            return transformed, log_det
        cells = self.mask.cells(transformed.shape)
        transformed = self.mask.only_transformed(transformed)
        transformed, normalization_log_det = self.normalization.normalize(transformed, cells, mode)
        return transformed, log_det + normalization_log_det

    def transform_half_back(self, transformed: Float[Array, "n *half"], raw: Float[Array, "n *parameters"]) -> Values:
        """(x_t, log_det), the inverse of `transform_half`."""
        log_det = jnp.zeros(transformed.shape[:1], transformed.dtype)
        if self.normalization is not None:
            cells = self.mask.cells(transformed.shape)
            transformed, log_det = self.normalization.denormalize(transformed, cells)
        transformed, log_derivative = self.transform.checked("inverse", transformed, raw)
        return transformed, log_det + _sum_event(self.mask.only_transformed(log_derivative))

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        identity, transformed = self.mask.split(x)
        raw = self.parameters(identity, x.shape, context, mode)
        transformed, log_det = self.transform_half(transformed, raw, mode)
        return self.mask.merge(identity, transformed), log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        identity, transformed = self.mask.split(z)
        raw = self.parameters(identity, z.shape, context)
        transformed, log_det = self.transform_half_back(transformed, raw)
        return self.mask.merge(identity, transformed), log_det

    def pull_back(self, variables, used, z, context, mode, cotangents):
        """One evaluation of the conditioner serves inverse and gradients: input and output share the identity half."""
        z_bar, log_det_bar = cotangents
        identity, transformed = self.mask.split(z)

        def parameters(trainable, identity, context):
            return run(self, {**variables, "params": trainable}, "parameters", identity, z.shape, context, mode)

        def transform_half(trainable, transformed, raw):
            return run(self, {**variables, "params": trainable}, "transform_half", transformed, raw, mode)

        trainable = variables.get("params", {})
        raw, parameters_vjp = jax.vjp(parameters, trainable, identity, context)
        under_used = {**variables, "batch_stats": used}
        transformed, _ = self.apply(under_used, transformed, raw, method="transform_half_back")
        transformed = self.mask.only_transformed(transformed)
        _, transform_vjp = jax.vjp(transform_half, trainable, transformed, raw)
        identity_bar, transformed_bar = self.mask.split(z_bar)
        of_transform, transformed_bar, raw_bar = transform_vjp((transformed_bar, log_det_bar))
        of_conditioner, from_conditioner, context_bar = parameters_vjp(raw_bar)
        x = self.mask.merge(identity, transformed)
        x_bar = self.mask.merge(identity_bar + from_conditioner, transformed_bar)
        return x, (jax.tree.map(jnp.add, of_transform, of_conditioner), x_bar, context_bar)


def coupling(
    mask: Mask,
    conditioner: Conditioner,
    transform: Transform,
    normalization: Normalization,
    transformed_channels: int,
) -> Coupling:
    """A coupling layer built from copies of the given parts.

    Args:
      mask: which half is which.
      conditioner: the network; its output size and its normalization are set here.
      transform: elementwise transform of the transformed half.
      normalization: normalization after the transform, and in the network's own layers.
      transformed_channels: number of channels of the transformed half.
    """
    out_features = transform.parameters_per_dim * transformed_channels
    return Coupling(
        mask,
        fresh_copy(conditioner, out_features=out_features, normalization=fresh_copy(normalization)),
        fresh_copy(transform),
        None if normalization.is_identity else Normalize(fresh_copy(normalization)),
    )


def _sum_event(x: Float[Array, "n *event"]) -> Float[Array, " n"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))
