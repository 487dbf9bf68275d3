"""Many layers of one kind in a loop: their parameters are stacked, and the time to compile does not grow with them."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from realnvp_jax.bijections.bijection import Bijection

_STACKED: Any = {"params": 0, "batch_stats": 0, "intermediates": 0}  # collections with a leading axis for the layers

Values = tuple[Float[Array, "n dims"], Float[Array, " n"]]  # (value, log_det)


def scan_layers(
    apply: Callable[[Any, Float[Array, "n dims"]], Values],
    layer: Bijection,
    x: Float[Array, "n dims"],
    num_layers: int,
    orders: Int[Array, "layers 2 dims"] | None = None,
    *,
    reverse: bool = False,
) -> Values:
    """(value, log_det) of all layers.

    Args:
      apply: (layer, x) -> (value, log_det) of one layer, its forward or inverse direction.
      layer: the layer, whose parameters get a leading axis.
      x: vectors.
      num_layers: how many layers.
      orders: for every layer, the order in which it sees the elements, and the way back (`there_and_back`); None for
        the elements as they come.
      reverse: whether the last layer comes first.
    """

    def step(layer, carry, order):
        x, log_det = carry
        x, layer_log_det = in_order(lambda x: apply(layer, x), x, order)
        return (x, log_det + layer_log_det), None

    loop = nn.scan(
        step, variable_axes=_STACKED, split_rngs={"params": True}, length=num_layers, reverse=reverse, in_axes=0
    )
    return loop(layer, (x, jnp.zeros(x.shape[:1], x.dtype)), orders)[0]


def in_order(
    apply: Callable[[Float[Array, "n dims"]], Values], x: Float[Array, "n dims"], order: Int[Array, "2 dims"] | None
) -> Values:
    """(value, log_det) of `apply` between a reordering of the elements and the way back."""
    if order is None:
        return apply(x)
    value, log_det = apply(x[:, order[0]])
    return value[:, order[1]], log_det


def there_and_back(orders: Int[np.ndarray, "layers dims"]) -> Int[Array, "layers 2 dims"]:
    """Orders with their inverses."""
    return jnp.asarray(np.stack([orders, np.argsort(orders, axis=1)], axis=1))
