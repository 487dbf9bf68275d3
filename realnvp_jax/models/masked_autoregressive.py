"""Masked and inverse autoregressive flows: affine or spline autoregressive maps in a stack.

    MAF (Papamakarios, Pavlakou and Murray 2017)    z_k = transform(x_k; MADE(x_1 ... x_{k-1})),    fast densities
    IAF (Kingma et al. 2016)                        x_k = transform(z_k; MADE(z_1 ... z_{k-1})),    fast samples

in every layer, each with another order of the elements and followed by normalization. IAF is the inverse of MAF.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from realnvp_jax.base import Normal
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.bijection import Bijection, Chain, Inverse, Reordered
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.bijections.transforms import Transform
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.statistics import Normalization
from realnvp_jax.registry import make_parts

LAYER_ORDERS = ("reversed", "random")


def layer_orders(kind: str, num_dims: int, num_layers: int, seed: int) -> Int[np.ndarray, "layers dims"]:
    """The order of the elements in every layer: reversed in every second one, or random without equal neighbours."""
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
    transform: str | Transform = "affine",
    normalization: str | Normalization = "batch_norm",
    residual: bool = False,
    activation: str = "relu",
    seed: int = 0,
    memory: str = "store",
    **options: Any,
) -> Flow:
    """Masked autoregressive flow (MAF) of vectors, or with `inverse` an inverse one (IAF), with normal latents.

    A density of a MAF takes one evaluation of every conditioner, and a sample takes num_dims; for an IAF it is the
    other way round. `flow.init(key, x)` sets a standardization of x and the context, which is part of the density, and
    initializes ActNorm.

    Args:
      num_dims: size of the vectors, 1 or more.
      num_layers: number of autoregressive maps.
      hidden: widths of the hidden layers of every conditioner.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      inverse: whether to build an IAF.
      order: order of the elements in each layer: reversed in every second one, or random (by `seed`).
      transform: affine, additive, spline or mixture_affine, by name or as an object.
      normalization: normalization after every map, by name or as an object: batch_norm, act_norm (initialized by
        `flow.init(key, x)`), or none.
      residual: whether hidden layers add their input, which requires equal widths in `hidden`.
      activation: activation of the conditioners: relu, tanh, silu or gelu.
      seed: seed of random orders.
      memory: what training keeps for the backward pass of a map: store, remat or invert (`Stack`).
      **options: parameters of the parts that are given by name, such as num_bins=8 or batch_norm_lag=0.9.

    Raises:
      TypeError: a part is neither a name nor an object of its kind.
      ValueError: a size is not positive, a choice is unknown, or no part has one of the options.

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> flow = realnvp_jax.masked_autoregressive_flow(3, num_layers=2, hidden=(16,), context=1)
      >>> params = flow.init(jax.random.key(0))
      >>> flow.sample(params, jax.random.key(1), (5,), context=np.zeros((2, 1))).shape
      (5, 2, 3)
    """
    arguments.at_least(1, num_dims=num_dims, num_layers=num_layers)
    arguments.at_least(0, seed=seed)
    sizes = arguments.widths(hidden)
    arguments.choice("order", order, LAYER_ORDERS)
    arguments.check_residual(residual, sizes)
    width = arguments.context_size(context)
    parts = make_parts(
        {
            "transform": ("transform", transform, Transform),
            "normalization": ("normalization", normalization, Normalization),
        },
        options,
    )
    network = MADE(
        tuple(range(num_dims)), sizes, parts["transform"].parameters_per_dim, width, activation, residual=bool(residual)
    )
    autoregressive = Autoregressive(network, parts["transform"])
    layers: list[Bijection] = [Inverse(autoregressive) if inverse else autoregressive]
    if not parts["normalization"].is_identity:
        layers.append(Normalize(parts["normalization"]))
    places = tuple(map(tuple, layer_orders(order, num_dims, num_layers, seed).tolist()))
    return Flow(
        event_shape=(num_dims,),
        bijection=Standardized(Stack(Reordered(Chain(tuple(layers))), num_layers, places, memory)),
        base=Normal(),
        context_size=width,
    )
