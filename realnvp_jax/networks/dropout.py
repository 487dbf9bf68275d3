"""Dropout (Srivastava et al., 2014): in training passes, a random fraction of the activations is set to zero.

    y = x / (1 - rate) with probability 1 - rate, else 0

The draws depend on the key of the pass, on the layer, and on the index of the example in the global batch: never on the
device, and never on whether an activation is computed a second time for the backward pass.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.mode import Mode
from realnvp_jax.random import draw_each


def dropout(x: Float[Array, "n *event"], rate: float, mode: Mode) -> Float[Array, "n *event"]:
    """Set a fraction `rate` of the elements of x to zero in a training pass; otherwise return x.

    Raises:
      ValueError: it is a training pass without a random key.
    """
    if not rate or not mode.trains:
        return x
    if mode.draws is None:
        raise ValueError(
            f"expected a training pass with a random key for dropout={rate}, as bits_per_dim_train makes it from "
            "pixels; got one without, as log_prob_train makes it: use dropout=0 for continuous data"
        )
    key, indices = mode.draws
    is_kept = draw_each(jax.random.uniform, key, indices, x.shape[1:], jnp.float32) >= rate
    return jnp.where(is_kept, x * (1 / (1 - rate)), jnp.zeros_like(x))
