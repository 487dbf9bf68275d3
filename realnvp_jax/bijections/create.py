"""From a model's choice of normalisation to the bijection behind a layer."""

from realnvp_jax.bijections.act_norm import ActNorm
from realnvp_jax.bijections.batch_norm import BatchNorm
from realnvp_jax.bijections.normalization import Normalization
from realnvp_jax.masks import CellMask, Mask
from realnvp_jax.networks.normalization import NormalizationSpec


def create_normalization(spec: NormalizationSpec, mask: Mask | None) -> Normalization | None:
    """Normalisation of the transformed half of `mask`, or of everything without one; None if there is none."""
    cell_mask = mask if isinstance(mask, CellMask) else None
    if spec.kind == "batch_norm":
        return BatchNorm(cell_mask, lag=spec.lag)
    return ActNorm(cell_mask) if spec.kind == "act_norm" else None
