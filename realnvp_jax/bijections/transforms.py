"""Elementwise transforms, with parameters that a conditioner computes: of a coupling, or of an autoregressive map.

    additive    x + shift                                        (NICE, Dinh et al. 2014)
    affine      (x + shift) exp(log_scale),
                log_scale = scale tanh(raw) + offset             (RealNVP, Section 4.1)
    spline      a monotonic rational-quadratic spline            (Neural Spline Flows, Durkan et al. 2019)
    mixture     the CDF of a mixture                             (autoregressive maps only: its values are in [0, 1])

with trainable scalars `scale` and `offset`. The shift comes first, as in the authors' code (the paper writes
x exp(s) + t), and the authors have the offset only in models without batch norm.
"""

import dataclasses
import math
import operator

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax import mixtures
from realnvp_jax.mixtures import mixture_forward, mixture_inverse
from realnvp_jax.splines import num_parameters, spline_forward, spline_inverse

TRANSFORMS = ("additive", "affine", "spline")


class AffineTransform(nn.Module):
    """(x + shift) exp(log_scale), elementwise, log_scale = scale tanh(raw) + offset.

    Attributes:
      initial_scale: value at which the scalar `scale` starts; 0 makes log_scale start at 0.
      has_offset: whether there is a trainable `offset`, which starts at 0.
    """

    initial_scale: float
    has_offset: bool = False
    parameters_per_dim = 2

    @nn.compact
    def shift_and_log_scale(
        self, raw: Float[Array, "*n doubled"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """(shift, log_scale) from the conditioner's output: its first half is the shift."""
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), ())
        shift, raw_log_scale = jnp.split(raw, 2, axis=-1)
        log_scale = scale * jnp.tanh(raw_log_scale)
        if self.has_offset:
            log_scale = log_scale + self.param("offset", nn.initializers.zeros, ())
        return shift, log_scale

    def forward(
        self, x: Float[Array, "*n channels"], raw: Float[Array, "*n doubled"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        shift, log_scale = self.shift_and_log_scale(raw)
        return (x + shift) * jnp.exp(log_scale), log_scale

    def inverse(
        self, z: Float[Array, "*n channels"], raw: Float[Array, "*n doubled"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        shift, log_scale = self.shift_and_log_scale(raw)
        return z * jnp.exp(-log_scale) - shift, -log_scale


class AdditiveTransform(nn.Module):
    """x + shift, elementwise: volume-preserving."""

    parameters_per_dim = 1

    def forward(
        self, x: Float[Array, "*n channels"], raw: Float[Array, "*n channels"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative, 0."""
        return x + raw, jnp.zeros_like(x)

    def inverse(
        self, z: Float[Array, "*n channels"], raw: Float[Array, "*n channels"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative, 0."""
        return z - raw, jnp.zeros_like(z)


class SplineTransform(nn.Module):
    """A rational-quadratic spline on [-bound, bound] and the identity outside (`realnvp_jax.splines`).

    Attributes:
      num_bins: number of bins, K.
      bound: half the width of the interval, in the units of what the coupling is given.
    """

    num_bins: int
    bound: float

    @property
    def parameters_per_dim(self) -> int:
        """3 K - 1."""
        return num_parameters(self.num_bins)

    def forward(
        self, x: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        return spline_forward(x, _by_element(x, raw, self.parameters_per_dim), self.bound)

    def inverse(
        self, z: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        return spline_inverse(z, _by_element(z, raw, self.parameters_per_dim), self.bound)


class MixtureTransform(nn.Module):
    """Through the CDF of a mixture to the uniform or the normal distribution (`realnvp_jax.mixtures`).

    Attributes:
      num_components: components of the mixture, K.
      component: gaussian or logistic.
      base: uniform or normal.
    """

    num_components: int
    component: str = "gaussian"
    base: str = "uniform"

    @property
    def parameters_per_dim(self) -> int:
        """3 K."""
        return mixtures.num_parameters(self.num_components)

    def forward(
        self, x: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        return mixture_forward(x, _by_element(x, raw, self.parameters_per_dim), self.component, self.base)

    def inverse(
        self, z: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative."""
        return mixture_inverse(z, _by_element(z, raw, self.parameters_per_dim), self.component, self.base)


def _by_element(x: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"], parameters_per_dim: int) -> Array:
    """The parameters of every element along an axis of their own."""
    return raw.reshape(*x.shape, parameters_per_dim)


Transform = AdditiveTransform | AffineTransform | SplineTransform | MixtureTransform


@dataclasses.dataclass(frozen=True)
class TransformSpec:
    """Which transform the couplings of a model have.

    Attributes:
      kind: additive, affine or spline.
      num_bins: bins of a spline.
      tail_bound: a spline acts on [-tail_bound, tail_bound].

    Raises:
      ValueError: the kind is unknown, or a spline's size is out of range.
    """

    kind: str = "affine"
    num_bins: int = 8
    tail_bound: float = 5.0

    def __post_init__(self):
        if self.kind not in TRANSFORMS:
            raise ValueError(f"expected transform to be one of {TRANSFORMS}; got {self.kind!r}")
        if not 2 <= operator.index(self.num_bins) <= 500:
            raise ValueError(f"expected num_bins from 2 to 500; got {self.num_bins}")
        if not 0 < self.tail_bound < math.inf:
            raise ValueError(f"expected a tail_bound above 0; got {self.tail_bound}")

    def create(self, *, initial_scale: float, has_offset: bool) -> Transform:
        """The module; the arguments are those of `AffineTransform`."""
        if self.kind == "additive":
            return AdditiveTransform()
        if self.kind == "spline":
            return SplineTransform(self.num_bins, self.tail_bound)
        return AffineTransform(initial_scale, has_offset)
