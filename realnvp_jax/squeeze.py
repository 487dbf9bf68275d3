"""Squeezes: trade each 2x2 block of pixels for four times the channels (Section 3.6 of the paper).

The authors' code uses two orders of the new channels, and both matter for reproducing it:

* `squeeze` is colour-major, channel = 4 c + 2 i + j for the pixel (i, j) of the block. It is used around the
  channel-wise couplings, whose halves are therefore mostly halves of the *colours*.
* `squeeze_diagonal` is position-major, channel = k C + c with the positions k in the order (0,0), (1,1),
  (0,1), (1,0). It is used before factoring out: the first half of its channels is the main diagonal of every
  block, which goes on to the next scale, the second half the off-diagonal, which is factored out.

Both are permutations, so their log-determinant is zero.
"""

import jax.numpy as jnp
from einops import rearrange
from jaxtyping import Array, Float


def squeeze(x: Float[Array, "*n height width channels"]) -> Float[Array, "*n height//2 width//2 channels*4"]:
    """[.., H, W, C] -> [.., H/2, W/2, 4C], colour-major."""
    return rearrange(x, "... (h i) (w j) c -> ... h w (c i j)", i=2, j=2)


def unsqueeze(y: Float[Array, "*n height width channels"]) -> Float[Array, "*n height*2 width*2 channels//4"]:
    """Inverse of `squeeze`."""
    return rearrange(y, "... h w (c i j) -> ... (h i) (w j) c", i=2, j=2)


def squeeze_diagonal(
    x: Float[Array, "*n height width channels"],
) -> Float[Array, "*n height//2 width//2 channels*4"]:
    """[.., H, W, C] -> [.., H/2, W/2, 4C], position-major with the main diagonal first."""
    blocks = rearrange(x, "... (h i) (w j) c -> ... h w i j c", i=2, j=2)
    return jnp.concatenate(
        [blocks[..., 0, 0, :], blocks[..., 1, 1, :], blocks[..., 0, 1, :], blocks[..., 1, 0, :]], axis=-1
    )


def unsqueeze_diagonal(
    y: Float[Array, "*n height width channels"],
) -> Float[Array, "*n height*2 width*2 channels//4"]:
    """Inverse of `squeeze_diagonal`."""
    upper_left, lower_right, upper_right, lower_left = jnp.split(y, 4, axis=-1)
    upper = jnp.stack([upper_left, upper_right], axis=-2)
    lower = jnp.stack([lower_left, lower_right], axis=-2)
    return rearrange(jnp.stack([upper, lower], axis=-3), "... h w i j c -> ... (h i) (w j) c")
