"""Changes to the examples of a training step that depend only on the step's key and an example's index.

They are the same on any number of devices.
"""

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.random import draw_each

_CROP = 0x63726F70  # distinct from the step and example numbers that keys are folded with
_SHIFT = 0x73686966


def random_crop(key: jax.Array, indices: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A random crop of (height, width, channels) = `shape` from every image of x, which may be larger.

    All positions are equally likely; they depend only on the key and the image's index.
    """
    if len(shape) != 3 or x.shape[1:] == shape:
        return x
    height, width, channels = shape
    if x.ndim != 4 or x.shape[3] != channels or x.shape[1] < height or x.shape[2] < width:
        raise ValueError(f"expected images [n, height, width, channels] of at least {shape}; got {x.shape}")
    free = jnp.array([x.shape[1] - height + 1, x.shape[2] - width + 1])
    crop_key = jax.random.fold_in(key, _CROP)

    def crop(index: jax.Array, image: jax.Array) -> jax.Array:
        row, column = jax.random.randint(jax.random.fold_in(crop_key, index), (2,), 0, free)
        return jax.lax.dynamic_slice(image, (row, column, 0), (height, width, channels))

    return jax.vmap(crop)(indices, x)


def shift(key: jax.Array, indices: jax.Array, x: jax.Array, pixels: int) -> jax.Array:
    """Images [n, height, width, channels], moved by up to so many pixels in both directions; edge pixels are repeated.

    All places are equally likely; they depend only on the key and the image's index.
    """
    margin = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    return random_crop(jax.random.fold_in(key, _SHIFT), indices, jnp.pad(x, margin, mode="edge"), x.shape[1:])


def mirror(key: jax.Array, indices: jax.Array, x: jax.Array) -> jax.Array:
    """Images [n, height, width, channels], mirrored left to right with probability 1/2 each."""
    mirrored = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i)))(indices)
    return jnp.where(mirrored.reshape((-1,) + (1,) * (x.ndim - 1)), jnp.flip(x, axis=-2), x)


def augment(
    key: jax.Array,
    indices: jax.Array,
    x: jax.Array,
    *,
    flip: bool,
    noise: np.ndarray | None = None,
    shape: tuple[int, ...] | None = None,
    shift_pixels: int = 0,
) -> jax.Array:
    """Integer images, cropped to `shape` and shifted at random, and mirrored with probability 1/2 if `flip`.

    Continuous data are returned unchanged, or with Gaussian noise of the standard deviations `noise`, one per column,
    which regularizes the density of a small data set. Augmentation depends only on the key and an example's index.
    """
    if shape is not None:
        x = random_crop(key, indices, x, shape)
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = shift(key, indices, x, shift_pixels) if shift_pixels else x
        return mirror(jax.random.split(key)[0], indices, x) if flip else x
    if noise is None:
        return x
    draws = draw_each(jax.random.normal, noise_key(key), indices, x.shape[1:], x.dtype)
    return x + jnp.asarray(noise, x.dtype)[None] * draws


def noise_key(key: jax.Array) -> jax.Array:
    """Key of a step's noise (dequantization noise for pixels), from the step's own key."""
    return jax.random.split(key)[1]
