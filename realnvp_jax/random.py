"""Random arrays that compile fast."""

import math
from collections.abc import Callable
from typing import Any

import jax


def draw(
    sampler: Callable[..., jax.Array], key: jax.Array, shape: tuple[int, ...], *args: Any, **kwargs: Any
) -> jax.Array:
    """sampler(key, shape, ...), drawn as a vector and reshaped.

    The values are the same, but XLA's CPU backend takes ten times longer to compile the counters of a multi-dimensional
    array (4 s for one array, with JAX 0.10).
    """
    return sampler(key, (math.prod(shape),), *args, **kwargs).reshape(shape)


def draw_each(
    sampler: Callable[..., jax.Array], key: jax.Array, indices: jax.Array, shape: tuple[int, ...], *args: Any
) -> jax.Array:
    """sampler(..., shape) for each of several examples, [n, *shape], from only the key and the example's index.

    The same example gets the same values in a batch of any size, on any number of devices.
    """
    return jax.vmap(lambda index: draw(sampler, jax.random.fold_in(key, index), shape, *args))(indices)
