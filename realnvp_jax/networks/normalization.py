"""Normalisation inside of the image conditioner, and the choice of it for a whole model."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.networks.batch_statistics import BatchStatistics
from realnvp_jax.networks.data_statistics import DataStatistics

EPSILON = 1e-4  # of every batch norm, the authors' value

NORMALIZATIONS = ("batch_norm", "act_norm", "none")


@dataclasses.dataclass(frozen=True)
class NormalizationSpec:
    """Which normalisation a model has, between its couplings and inside of its image conditioners.

    Attributes:
      kind: batch_norm, act_norm or none.
      lag: weight of the running statistics in training under batch norm (`batch_norm_lag`); 0 is plain batch norm.

    Raises:
      ValueError: the kind is unknown, or the lag is not in [0, 1), or there is a lag without batch norm.
    """

    kind: str = "batch_norm"
    lag: float = 0.0

    def __post_init__(self):
        if self.kind not in NORMALIZATIONS:
            raise ValueError(f"expected normalization to be one of {NORMALIZATIONS}; got {self.kind!r}")
        if not 0 <= self.lag < 1:
            raise ValueError(f"expected batch_norm_lag in [0, 1); got {self.lag}")
        if self.lag and self.kind != "batch_norm":
            raise ValueError(f"expected batch_norm_lag 0 with normalization {self.kind!r}; got {self.lag}")


class NormalizeWithOffset(nn.Module):
    """Normalisation of a layer's input, with a trainable offset.

    batch_norm: (x - mean) / sqrt(variance + epsilon) + offset, without a gain;
    act_norm: (x - mean) / deviation, both trainable and first read off a batch;
    none: x + offset.

    It is computed in float32 at least, and returned in the dtype of x.
    """

    normalization: NormalizationSpec

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width channels"], *, train: bool, axis_name: str | None
    ) -> Float[Array, "n height width channels"]:
        """Normalise."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return self._normalize(wide, train, axis_name).astype(x.dtype)

    def _normalize(self, x: jax.Array, train: bool, axis_name: str | None) -> jax.Array:
        if self.normalization.kind == "act_norm":
            mean, log_deviation = DataStatistics(name="statistics")(x, axis_name=axis_name)
            return (x - mean) * jnp.exp(-log_deviation)
        if self.normalization.kind == "batch_norm":
            statistics = BatchStatistics(lag=self.normalization.lag, name="statistics")
            x = statistics.normalized(x, EPSILON, train=train, axis_name=axis_name)
        offset = self.param("offset", nn.initializers.zeros, x.shape[-1:])
        return x + offset.reshape((1,) * (x.ndim - 1) + (-1,))
