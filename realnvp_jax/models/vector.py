"""RealNVP for vectors: points, rows of tables, parameters of simulators.

    standardize, then num_layers couplings with multi-layer perceptrons, parity alternating from layer to layer

The coupling layers are grouped in pairs (parity 0, parity 1), and the pairs form a stack: their parameters have a
leading axis, and compile time does not grow with the depth.
"""

from collections.abc import Sequence
from typing import Any

from realnvp_jax.base import Base
from realnvp_jax.bijections.bijection import Bijection, Chain, Reordered, forward_through, inverse_through
from realnvp_jax.bijections.coupling import coupling
from realnvp_jax.bijections.linear import DiagonalScaling, LearnedLinear
from realnvp_jax.bijections.permutation import Reversal
from realnvp_jax.bijections.stack import MEMORY, Stack
from realnvp_jax.bijections.transforms import Affine, Transform
from realnvp_jax.copies import fresh_copy
from realnvp_jax.masks import Halves, VectorHalves, VectorMask
from realnvp_jax.mode import EVALUATE
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.statistics import NoNormalization, Normalization
from realnvp_jax.registry import make_parts, parameter


class VectorRealNVP(Bijection):
    """Coupling layers on the halves of vectors; NICE's diagonal scaling follows volume-preserving ones.

    Attributes:
      num_dims: size of the vectors, at least 2.
      num_layers: number of coupling layers.
      conditioner: conditioner of every coupling layer.
      masks: how a pair of coupling layers splits the elements into halves.
      transform: what a coupling layer does to its transformed half.
      normalization: normalization after every coupling layer.
      mixing: bijection before every coupling layer, or None.
      memory: what training keeps for the backward pass of a pair of layers, as in `Stack`.
    """

    is_elementary = False
    num_dims: int
    num_layers: int
    conditioner: Conditioner = MLP()
    masks: VectorMask = VectorHalves()
    transform: Transform = Affine()
    normalization: Normalization = NoNormalization()
    mixing: Bijection | None = None
    memory: str = parameter("store", "what training keeps for the backward pass of a layer", choices=MEMORY)

    def setup(self):
        """The stack of pairs, the layer that is left over, and the final scaling."""
        num_pairs = self.num_layers // 2
        orders = self.masks.orders(self.num_dims, (self.num_layers + 1) // 2)
        places = () if orders is None else tuple(map(tuple, orders.tolist()))
        has_last = self.num_layers % 2
        pairs = Stack(Reordered(self._couplings(2)), num_pairs, places[:num_pairs], self.memory)
        self.pairs = pairs if num_pairs else None
        self.last = Reordered(self._couplings(1), places[-1] if places else None) if has_last else None
        self.scaling = DiagonalScaling() if self.transform.preserves_volume else None

    @property
    def layers(self) -> list[Bijection]:
        """The layers in the order of `forward`."""
        return [layer for layer in (self.pairs, self.last, self.scaling) if layer is not None]

    def _couplings(self, num: int) -> Chain:
        """One or two coupling layers; parity is 0, then 1."""
        layers = []
        for parity in range(num):
            if self.mixing is not None:
                layers.append(fresh_copy(self.mixing))
            mask = Halves(parity)
            size = mask.size_transformed(self.num_dims)
            layers.append(coupling(mask, self.conditioner, self.transform, self.normalization, size))
        return Chain(tuple(layers))

    def forward(self, x, context=None, mode=EVALUATE):
        """Standardized data to latent."""
        return forward_through(self.layers, x, context, mode)

    def inverse(self, z, context=None):
        """Latent to standardized data."""
        return inverse_through(self.layers, z, context)


def vector_flow(
    num_dims: int,
    num_layers: int = 8,
    hidden: Sequence[int] = (128, 128),
    context: int | None = None,
    *,
    conditioner: str | Conditioner = "mlp",
    masks: str | VectorMask = "halves",
    mixing: str | Bijection | None = None,
    transform: str | Transform = "affine",
    normalization: str | Normalization = "none",
    base: str | Base = "normal",
    seed: int = 0,
    memory: str = "store",
    **options: Any,
) -> Flow:
    """RealNVP for vectors of real numbers, with standard normal latents.

    `flow.init(key, x)` sets a standardization: the mean and standard deviation of every column of x (and of the
    context) become constants of the density. Its log-determinant is included, so `log_prob` is in the data's own units.
    Every part is an object or a registered name; `options` are the parameters of parts that are given by name.

    Args:
      num_dims: size of the vectors, at least 2.
      num_layers: number of coupling layers.
      hidden: widths of the hidden layers of every conditioner, if given by name.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      conditioner: network of the coupling layers.
      masks: halves, alternating, random (by `seed`), or learned, which is halves with mixing="lu".
      mixing: an invertible map before every coupling layer: lu, conv1x1, conv1x1_plain, permutation, or None.
      transform: transform of the coupling layers: affine, additive (NICE, with its final diagonal scaling), spline or
        mixture_affine.
      normalization: after the coupling layers: none, act_norm (initialized by `flow.init(key, x)`), or batch_norm.
      base: distribution of the latents.
      seed: seed of random masks.
      memory: what training keeps for the backward pass of a pair of layers: store, remat or invert (`Stack`).
      **options: parameters of parts, such as num_bins=8 or tail_bound=5.0 (of splines, in units of standardized data),
        batch_norm_lag=0.9, or activation="silu" (of the conditioners).

    Raises:
      TypeError: a part is neither a name nor an object of its kind.
      ValueError: num_dims < 2, another size is not positive, a name is not registered, or no part has one of the
        options.

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> x = np.random.default_rng(0).normal(3.0, 2.0, size=(100, 2))
      >>> flow = realnvp_jax.vector_flow(2, num_layers=4, hidden=(16,))
      >>> params = flow.init(jax.random.key(0), x)
      >>> flow.log_prob(params, x).shape
      (100,)
      >>> flow.sample(params, jax.random.key(1), (5,)).shape
      (5, 2)
    """
    if arguments.integer("num_dims", num_dims) < 2:
        raise ValueError(
            f"expected num_dims of at least 2, since a coupling conditions one half on the other; got {num_dims}"
        )
    arguments.at_least(1, num_layers=num_layers)
    arguments.at_least(0, seed=seed)
    if masks == "learned":
        masks, mixing = "halves", LearnedLinear() if mixing is None else mixing
    chosen = {
        "conditioner": ("conditioner", conditioner, Conditioner),
        "masks": ("vector_mask", masks, VectorMask),
        "transform": ("transform", transform, Transform),
        "normalization": ("normalization", normalization, Normalization),
        "base": ("base", base, Base),
    }
    if mixing is not None:
        chosen["mixing"] = ("mixing", mixing, Bijection)
    shared = {"hidden": arguments.widths(hidden), "seed": seed}
    parts = make_parts(chosen, options, shared)
    if isinstance(parts.get("mixing"), Reversal):
        raise ValueError(
            "expected a mixing other than 'reversal' for the vector_flow; got 'reversal', which undoes the alternation "
            "of its masks: use 'permutation' or 'lu'"
        )
    latents = parts.pop("base")
    couplings = VectorRealNVP(num_dims, num_layers, **parts, memory=memory)
    return Flow(
        event_shape=(num_dims,),
        bijection=Standardized(couplings),
        base=latents,
        context_size=arguments.context_size(context),
    )
