"""Masked and inverse autoregressive flows: affine or spline autoregressive maps in a stack.

    MAF (Papamakarios, Pavlakou and Murray 2017)    z_k = transform(x_k; MADE(x_1 ... x_{k-1})),    fast densities
    IAF (Kingma et al. 2016)                        x_k = transform(z_k; MADE(z_1 ... z_{k-1})),    fast samples

in every layer, with another order of the elements, and normalisation behind it. IAF is the same map the other way.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Array, Int

from realnvp_jax.base import Normal
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.bijection import Chain, Inverse
from realnvp_jax.bijections.create import create_normalization
from realnvp_jax.bijections.stack import in_order, scan_layers, there_and_back
from realnvp_jax.bijections.transforms import TransformSpec
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.mlp import ACTIVATIONS
from realnvp_jax.networks.normalization import NormalizationSpec

LAYER_ORDERS = ("reversed", "random")


class MaskedAutoregressive(Standardized):
    """Standardisation, and a stack of autoregressive maps.

    Attributes:
      num_dims: size of the vectors.
      num_layers: number of maps.
      hidden: widths of the hidden layers of every MADE.
      context_size: width of the context, 0 for none.
      order: of the elements, from layer to layer: reversed, or random (`layer_orders`).
      seed: of random orders.
      transform: what a map does to an element.
      normalization: behind every map.
      inverse_maps: whether the maps are inverted, which makes an IAF of a MAF.
      residual: whether hidden layers add their input.
      activation: of the conditioners.
    """

    num_dims: int
    num_layers: int
    hidden: tuple[int, ...]
    context_size: int = 0
    order: str = "reversed"
    seed: int = 0
    transform: TransformSpec = TransformSpec()
    normalization: NormalizationSpec = NormalizationSpec()
    inverse_maps: bool = False
    residual: bool = False
    activation: str = "relu"

    def setup(self):
        """One layer, which stands for all."""
        super().setup()
        transform = self.transform.create(initial_scale=1.0, has_offset=True)
        network = MADE(
            tuple(range(self.num_dims)),
            self.hidden,
            transform.parameters_per_dim,
            self.context_size,
            self.activation,
            self.residual,
        )
        autoregressive = Autoregressive(network, transform)
        normalization = create_normalization(self.normalization, None)
        layers = [Inverse(autoregressive) if self.inverse_maps else autoregressive]
        self.layer = Chain(tuple(layers if normalization is None else [*layers, normalization]))

    def _orders(self) -> Int[Array, "layers 2 dims"]:
        return there_and_back(layer_orders(self.order, self.num_dims, self.num_layers, self.seed))

    def forward_standardized(self, x, context=None, *, train=False, axis_name=None):
        """Standardised data to latent."""

        def apply(layer, x):
            return layer.forward(x, context, train=train, axis_name=axis_name)

        return scan_layers(in_order(apply), self.layer, x, self.num_layers, self._orders())

    def inverse_standardized(self, z, context=None):
        """Latent to standardised data."""

        def apply(layer, z):
            return layer.inverse(z, context)

        return scan_layers(in_order(apply), self.layer, z, self.num_layers, self._orders(), reverse=True)


def layer_orders(kind: str, num_dims: int, num_layers: int, seed: int) -> Int[np.ndarray, "layers dims"]:
    """The order of the elements in every layer: reversed in every second one, or random, with no two in a row equal."""
    orders = np.tile(np.arange(num_dims), (num_layers, 1))
    if kind == "reversed" or num_dims < 2:
        orders[1::2] = orders[1::2, ::-1]
        return orders
    random = np.random.default_rng(seed)
    for layer in range(num_layers):
        orders[layer] = random.permutation(num_dims)
        while layer and (orders[layer] == orders[layer - 1]).all():
            orders[layer] = random.permutation(num_dims)
    return orders


def masked_autoregressive_flow(
    num_dims: int,
    num_layers: int = 5,
    hidden: Sequence[int] = (128, 128),
    context: int | None = None,
    *,
    inverse: bool = False,
    order: str = "reversed",
    transform: str = "affine",
    num_bins: int = 8,
    tail_bound: float = 5.0,
    normalization: str = "batch_norm",
    batch_norm_lag: float = 0.0,
    residual: bool = False,
    activation: str = "relu",
    seed: int = 0,
) -> Flow:
    """Masked autoregressive flow (MAF) of vectors, or with `inverse` an inverse one (IAF), with normal latents.

    Densities of a MAF take one evaluation of every conditioner and samples num_dims of them; of an IAF the other way.
    `flow.init(key, x)` standardises x and the context, as a part of the density, and initialises ActNorm.

    Args:
      num_dims: size of the vectors, 1 or more.
      num_layers: number of autoregressive maps.
      hidden: widths of the hidden layers of every conditioner.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      inverse: whether it is an IAF.
      order: of the elements from layer to layer: reversed in every second one, or random (by `seed`).
      transform: affine, additive or spline.
      num_bins: bins of a spline.
      tail_bound: a spline acts on [-tail_bound, tail_bound], in units of standardised data.
      normalization: behind every map: batch_norm, act_norm (initialised by `flow.init(key, x)`), or none.
      batch_norm_lag: weight of the running statistics in training; 0 is plain batch norm.
      residual: whether hidden layers add their input; `hidden` has equal widths then.
      activation: of the conditioners: relu, tanh, silu or gelu.
      seed: of random orders.

    Raises:
      ValueError: a size is not positive, or a choice is unknown.
    """
    arguments.at_least(1, num_dims=num_dims, num_layers=num_layers)
    arguments.at_least(0, seed=seed)
    sizes = arguments.widths(hidden)
    arguments.one_of("order", order, LAYER_ORDERS)
    arguments.one_of("activation", activation, tuple(ACTIVATIONS))
    arguments.check_residual(residual, sizes)
    width = arguments.context_size(context)
    return Flow(
        event_shape=(num_dims,),
        bijection=MaskedAutoregressive(
            num_dims,
            num_layers,
            sizes,
            width,
            order,
            seed,
            TransformSpec(transform, num_bins, tail_bound),
            NormalizationSpec(normalization, batch_norm_lag),
            inverse,
            residual,
            activation,
        ),
        base=Normal(),
        context_size=width,
    )
