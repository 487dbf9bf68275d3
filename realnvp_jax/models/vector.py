"""RealNVP for vectors: points, rows of tables, parameters of simulators.

    standardise, then num_layers couplings with multi-layer perceptrons, parity alternating from layer to layer

The couplings are taken in pairs (parity 0, parity 1), and the pairs are scanned over: their parameters are stacked
along a leading axis, and the time to compile does not grow with the depth.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Int

from realnvp_jax.base import Normal
from realnvp_jax.bijections.bijection import Bijection, forward_through, inverse_through
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.create import create_normalization
from realnvp_jax.bijections.linear import DiagonalScaling, LearnedLinear
from realnvp_jax.bijections.stack import in_order, scan_layers, there_and_back
from realnvp_jax.bijections.transforms import TransformSpec
from realnvp_jax.masks import VECTOR_MASKS, Halves, orders
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.networks.mlp import ACTIVATIONS, MLP
from realnvp_jax.networks.normalization import NormalizationSpec


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


class VectorRealNVP(Standardized):
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
        super().setup()
        self.pairs = VectorCouplings(num_couplings=2, **shared)
        self.last = VectorCouplings(num_couplings=1, **shared) if self.num_layers % 2 else None
        self.scaling = DiagonalScaling() if self.transform.kind == "additive" else None

    def _orders(self) -> Int[Array, "pairs 2 dims"] | None:
        """For every pair, and the last coupling if it has none, the order of the elements and the way back."""
        there = orders(self.masks, self.num_dims, (self.num_layers + 1) // 2, self.seed)
        return None if there is None else there_and_back(there)

    def _pair_orders(self) -> Int[Array, "pairs 2 dims"] | None:
        all_orders = self._orders()
        return None if all_orders is None else all_orders[: self.num_layers // 2]

    def _last_order(self) -> Int[Array, "2 dims"] | None:
        all_orders = self._orders()
        return None if all_orders is None else all_orders[-1]

    def forward_standardized(self, x, context=None, *, train=False, axis_name=None):
        """Standardised data to latent."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)

        def apply(layers, x):
            return layers.forward(x, context, train=train, axis_name=axis_name)

        if self.num_layers > 1:
            x, log_det = scan_layers(in_order(apply), self.pairs, x, self.num_layers // 2, self._pair_orders())
        if self.last is not None:
            x, last_log_det = in_order(apply)(self.last, x, self._last_order())
            log_det = log_det + last_log_det
        if self.scaling is not None:
            x, scaling_log_det = self.scaling.forward(x)
            log_det = log_det + scaling_log_det
        return x, log_det

    def inverse_standardized(self, z, context=None):
        """Latent to standardised data."""
        log_det = jnp.zeros(z.shape[:1], z.dtype)

        def apply(layers, z):
            return layers.inverse(z, context)

        if self.scaling is not None:
            z, log_det = self.scaling.inverse(z)
        if self.last is not None:
            z, last_log_det = in_order(apply)(self.last, z, self._last_order())
            log_det = log_det + last_log_det
        if self.num_layers > 1:
            z, pairs_log_det = scan_layers(
                in_order(apply), self.pairs, z, self.num_layers // 2, self._pair_orders(), reverse=True
            )
            log_det = log_det + pairs_log_det
        return z, log_det


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
    sizes = arguments.widths(hidden)
    arguments.at_least(0, seed=seed)
    if arguments.integer("num_dims", num_dims) < 2:
        raise ValueError(
            f"expected num_dims of at least 2, since a coupling conditions one half on the other; got {num_dims}"
        )
    arguments.at_least(1, num_layers=num_layers)
    arguments.one_of("masks of vectors", masks, VECTOR_MASKS)
    arguments.one_of("activation of vectors", activation, tuple(ACTIVATIONS))
    return Flow(
        event_shape=(num_dims,),
        bijection=VectorRealNVP(
            num_dims,
            num_layers,
            sizes,
            masks,
            seed,
            TransformSpec(transform, num_bins, tail_bound),
            NormalizationSpec(normalization, batch_norm_lag),
            activation,
        ),
        base=Normal(),
        context_size=arguments.context_size(context),
    )
