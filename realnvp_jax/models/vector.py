"""RealNVP for vectors: points, rows of tables, parameters of simulators.

    standardise, then num_layers couplings with multi-layer perceptrons, parity alternating from layer to layer

The couplings are taken in pairs (parity 0, parity 1), and the pairs are scanned over: their parameters are stacked
along a leading axis, and the time to compile does not grow with the depth.
"""

import operator
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from realnvp_jax.base import Normal
from realnvp_jax.bijections.act_norm import Standardize
from realnvp_jax.bijections.bijection import Bijection, forward_through, inverse_through
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.create import create_normalization
from realnvp_jax.bijections.linear import DiagonalScaling, LearnedLinear
from realnvp_jax.bijections.transforms import TransformSpec
from realnvp_jax.masks import VECTOR_MASKS, Halves, orders
from realnvp_jax.models.flow import Flow, check_context_size
from realnvp_jax.networks.mlp import ACTIVATIONS, MLP
from realnvp_jax.networks.normalization import NormalizationSpec

_SCANNED: Any = {"params": 0, "batch_stats": 0, "intermediates": 0}  # collections stacked along axis 0


class VectorCouplings(Bijection):
    """One or two couplings on the halves of a vector, each behind a learned linear map if there are such.

    Attributes:
      num_couplings: 1 or 2; parity is 0, then 1.
      num_dims, hidden, activation, transform, normalization: as in `VectorRealNVP`.
      linear: whether there are linear maps.
    """

    num_couplings: int
    num_dims: int
    hidden: tuple[int, ...]
    activation: str
    transform: TransformSpec
    normalization: NormalizationSpec
    linear: bool

    def setup(self):
        """Linear maps and couplings."""
        self.linear_maps = [LearnedLinear(self.num_dims) for _ in range(self.num_couplings if self.linear else 0)]
        self.couplings = [self._coupling(Halves(parity)) for parity in range(self.num_couplings)]

    def _coupling(self, mask: Halves) -> Coupling:
        transform = self.transform.create(initial_scale=1.0, has_offset=True)
        out_features = transform.parameters_per_dim * mask.size_transformed(self.num_dims)
        return Coupling(
            mask=mask,
            conditioner=MLP(self.hidden, out_features, self.activation),
            transform=transform,
            normalization=create_normalization(self.normalization, mask),
        )

    @property
    def layers(self) -> tuple[Bijection, ...]:
        """The layers in the order of `forward`."""
        if not self.linear:
            return tuple(self.couplings)
        return tuple(layer for pair in zip(self.linear_maps, self.couplings, strict=True) for layer in pair)

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        return forward_through(self.layers, x, context, train=train, axis_name=axis_name)

    def inverse(self, z, context=None):
        """Latent to data."""
        return inverse_through(self.layers, z, context)


class VectorRealNVP(Bijection):
    """Standardisation, couplings, and behind additive ones NICE's diagonal scaling.

    Attributes:
      num_dims: size of the vectors, at least 2.
      num_layers: number of couplings.
      hidden: widths of the conditioners' hidden layers.
      masks: halves (first and second half), alternating (even and odd elements), random (a random half and its
        complement for every pair of couplings, from `seed`), or learned (halves behind a learned linear map).
      seed: of random masks.
      transform: what a coupling does to its transformed half.
      normalization: behind every coupling.
      activation: of the conditioners.
    """

    num_dims: int
    num_layers: int
    hidden: tuple[int, ...]
    masks: str = "halves"
    seed: int = 0
    transform: TransformSpec = TransformSpec()
    normalization: NormalizationSpec = NormalizationSpec("none")
    activation: str = "relu"

    def setup(self):
        """The layers."""
        shared = {
            "num_dims": self.num_dims,
            "hidden": self.hidden,
            "activation": self.activation,
            "transform": self.transform,
            "normalization": self.normalization,
            "linear": self.masks == "learned",
        }
        self.standardize = Standardize()
        self.standardize_context = Standardize()
        self.pairs = VectorCouplings(num_couplings=2, **shared)
        self.last = VectorCouplings(num_couplings=1, **shared) if self.num_layers % 2 else None
        self.scaling = DiagonalScaling() if self.transform.kind == "additive" else None

    def _scan(self, apply, x, *, reverse: bool):
        """(value, log_det) of all pairs, where apply(pair, x) is that of one pair."""
        num_pairs = self.num_layers // 2

        def step(pair, carry, order):
            x, log_det = carry
            x, pair_log_det = _in_order(lambda x: apply(pair, x), x, order)
            return (x, log_det + pair_log_det), None

        scan = nn.scan(
            step, variable_axes=_SCANNED, split_rngs={"params": True}, length=num_pairs, reverse=reverse, in_axes=0
        )
        all_orders = self._orders()
        in_pairs = None if all_orders is None else all_orders[:num_pairs]
        (x, log_det), _ = scan(self.pairs, (x, jnp.zeros(x.shape[:1], x.dtype)), in_pairs)
        return x, log_det

    def _orders(self) -> Int[Array, "pairs 2 dims"] | None:
        """For every pair, and the last coupling if it has none, the order of the elements and the way back."""
        there = orders(self.masks, self.num_dims, (self.num_layers + 1) // 2, self.seed)
        return None if there is None else jnp.asarray(np.stack([there, np.argsort(there, axis=1)], axis=1))

    def _last_order(self) -> Int[Array, "2 dims"] | None:
        all_orders = self._orders()
        return None if all_orders is None else all_orders[-1]

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        x, log_det = self.standardize.forward(x, axis_name=axis_name)
        if context is not None:
            context, _ = self.standardize_context.forward(context, axis_name=axis_name)

        def apply(layers, x):
            return layers.forward(x, context, train=train, axis_name=axis_name)

        if self.num_layers > 1:
            x, pairs_log_det = self._scan(apply, x, reverse=False)
            log_det = log_det + pairs_log_det
        if self.last is not None:
            x, last_log_det = _in_order(lambda x: apply(self.last, x), x, self._last_order())
            log_det = log_det + last_log_det
        if self.scaling is not None:
            x, scaling_log_det = self.scaling.forward(x)
            log_det = log_det + scaling_log_det
        return x, log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        if context is not None:
            context, _ = self.standardize_context.forward(context)
        log_det = jnp.zeros(z.shape[:1], z.dtype)
        if self.scaling is not None:
            z, log_det = self.scaling.inverse(z)
        if self.last is not None:
            last = self.last
            z, last_log_det = _in_order(lambda z: last.inverse(z, context), z, self._last_order())
            log_det = log_det + last_log_det
        if self.num_layers > 1:
            z, pairs_log_det = self._scan(lambda pair, z: pair.inverse(z, context), z, reverse=True)
            log_det = log_det + pairs_log_det
        x, standardize_log_det = self.standardize.inverse(z)
        return x, log_det + standardize_log_det


def _in_order(apply, x: Float[Array, "n dims"], order: Int[Array, "2 dims"] | None):
    """(value, log_det) of `apply` between a reordering of the elements and the way back."""
    if order is None:
        return apply(x)
    value, log_det = apply(x[:, order[0]])
    return value[:, order[1]], log_det


def vector_flow(
    num_dims: int,
    num_layers: int = 8,
    hidden: Sequence[int] = (128, 128),
    context: int | None = None,
    *,
    masks: str = "halves",
    transform: str = "affine",
    num_bins: int = 8,
    tail_bound: float = 5.0,
    normalization: str = "none",
    batch_norm_lag: float = 0.0,
    activation: str = "relu",
    seed: int = 0,
) -> Flow:
    """RealNVP for vectors of real numbers, with standard normal latents.

    `flow.init(key, x)` standardises: the mean and deviation of every column of x (and of the context) become constants
    of the density, whose log-determinant is counted, so `log_prob` is in the data's own units.

    Args:
      num_dims: size of the vectors, at least 2.
      num_layers: number of couplings.
      hidden: widths of the hidden layers of every conditioner.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      masks: halves, alternating, random (by `seed`), or learned (an invertible linear map in front of every coupling).
      transform: of the couplings: affine, additive (NICE, with its final diagonal scaling), or spline.
      num_bins: bins of a spline.
      tail_bound: a spline acts on [-tail_bound, tail_bound], in units of standardised data.
      normalization: behind the couplings: none, act_norm (initialised by `flow.init(key, x)`), or batch_norm.
      batch_norm_lag: weight of the running statistics in training; 0 is plain batch norm.
      activation: of the conditioners: relu, tanh, silu or gelu.
      seed: of random masks.

    Raises:
      ValueError: num_dims < 2, another size is not positive, or a choice is unknown.
    """
    num_dims, num_layers = operator.index(num_dims), operator.index(num_layers)
    if isinstance(hidden, int):
        raise ValueError(f"expected hidden to be a tuple of widths, such as (128, 128); got {hidden}")
    widths = tuple(map(operator.index, hidden))
    if operator.index(seed) < 0:
        raise ValueError(f"expected a seed of at least 0; got {seed}")
    if num_dims < 2:
        raise ValueError(
            f"expected num_dims of at least 2, since a coupling conditions one half on the other; got {num_dims}"
        )
    if num_layers < 1:
        raise ValueError(f"expected num_layers of at least 1; got {num_layers}")
    if not widths or min(widths) < 1:
        raise ValueError(f"expected hidden to be widths of at least 1; got {widths}")
    for name, value, choices in (("masks", masks, VECTOR_MASKS), ("activation", activation, tuple(ACTIVATIONS))):
        if value not in choices:
            raise ValueError(f"expected {name} of vectors to be one of {choices}; got {value!r}")
    return Flow(
        event_shape=(num_dims,),
        bijection=VectorRealNVP(
            num_dims,
            num_layers,
            widths,
            masks,
            seed,
            TransformSpec(transform, num_bins, tail_bound),
            NormalizationSpec(normalization, batch_norm_lag),
            activation,
        ),
        base=Normal(),
        context_size=check_context_size(context),
    )
