"""Random keys that mean the same everywhere, and random arrays that compile fast.

All random numbers are threefry's, whatever implementation `JAX_DEFAULT_PRNG_IMPL` chooses: they are the same on every
backend, and `vmap` over keys acts elementwise, so that the noise of an example does not depend on its batch.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from realnvp_jax.native import device_array
from realnvp_jax.text import shorten

_IMPLEMENTATION = "threefry2x32"


def root_key(seed: int) -> jax.Array:
    """The key of a seed."""
    return jax.random.key(seed, impl=_IMPLEMENTATION)


def threefry_key(key: Any) -> jax.Array:
    """A user's random key as a typed threefry key.

    The keys that one seed has under the implementations threefry2x32 and rbg become the same key.

    Args:
      key: one key of any implementation, typed, or raw as from `jax.random.PRNGKey`.

    Raises:
      TypeError: it is not one random key.
    """
    if isinstance(key, jax.Array) and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        if key.shape == ():
            is_threefry = str(jax.random.key_impl(key)) == _IMPLEMENTATION
            return key if is_threefry else _from_words(jax.random.key_data(key))
    elif isinstance(key, jax.Array | np.ndarray) and key.dtype == np.uint32 and key.shape in ((2,), (4,)):
        return _from_words(device_array(key, np.uint32))
    got = f"keys of shape {key.shape}" if isinstance(key, jax.Array | np.ndarray) else shorten(key)
    raise TypeError(f"expected one random key, such as jax.random.key(0); got {got}")


@jax.jit
def _from_words(words: jax.Array) -> jax.Array:
    """The key of the first two words; the keys of rbg, of four words, hold a threefry key twice."""
    return jax.random.wrap_key_data(words[:2], impl=_IMPLEMENTATION)


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

    Example:
      >>> import jax, jax.numpy as jnp, realnvp_jax
      >>> both = realnvp_jax.draw_each(jax.random.normal, jax.random.key(0), jnp.array([4, 7]), (2,))
      >>> alone = realnvp_jax.draw_each(jax.random.normal, jax.random.key(0), jnp.array([7]), (2,))
      >>> bool((both[1] == alone[0]).all())
      True
    """
    return jax.vmap(lambda index: draw(sampler, jax.random.fold_in(key, index), shape, *args))(indices)
