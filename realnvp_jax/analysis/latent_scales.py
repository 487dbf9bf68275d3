"""Images whose coarse latents are kept and whose fine latents are drawn again.

In the multi-scale architecture each scale but the last factors out half of the remaining latents. The first, finest
scales hold details; the last one holds what an image is about (appendix D of the paper). Here the latents of the
scales >= s are kept, and those of the scales < s are drawn from the base.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from realnvp_jax.analysis.latents import from_latents, to_latents
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.multiscale import MultiScale


def latent_scales(flow: Flow) -> Int[np.ndarray, "height width channels"]:
    """The scale that factors out each position of the latent, counted from the finest, 0; the last keeps the rest.

    Args:
      flow: a flow of images with scales (`MultiScale`).

    Raises:
      ValueError: the flow has no scales.
    """
    if not isinstance(flow.bijection, MultiScale):
        raise ValueError(f"expected a flow of images with scales; got a {type(flow.bijection).__name__}")
    return np.asarray(flow.bijection.apply({}, flow.event_shape, method="latent_scales")).astype(int)


def latent_groups(flow: Flow, latents: Float[np.ndarray, "n *event"]) -> dict[str, np.ndarray]:
    """Latents grouped by the scale that factors them out, finest first; one group if there are no scales."""
    if not isinstance(flow.bijection, MultiScale):
        return {"all": latents}
    scales = latent_scales(flow)
    return {f"scale {k}": latents[:, scales == k] for k in range(scales.max() + 1)}


def resample_scales(
    flow: Flow, params: Params, key: jax.Array, x: ArrayLike, num: int, *, context: ArrayLike | None = None
) -> Float[np.ndarray, "n num_scales num *event"]:
    """Images that keep the latents of their coarse scales and get new ones at the fine scales, in the data's units.

    Args:
      flow: a flow of images with scales (`MultiScale`).
      params: its parameters.
      key: random key; the draw of entry [i, s, j] depends only on the key and on i, s and j.
      x: integer pixels [n, *event].
      num: number of images for each x and each scale.
      context: what the density is conditioned on, [context_size] or [n, context_size].

    Returns:
      [n, num_scales, num, *event]: entry [i, s, j] keeps the latents of x[i] at the scales >= s and draws the others.
      For s = 0 it is x[i] itself, at pixel + 0.5.

    Raises:
      TypeError: x does not hold integers.
      ValueError: the flow has no scales; x or context has the wrong shape, or a pixel is out of range; num < 1.
    """
    scales = latent_scales(flow)
    arguments.at_least(1, num=num)
    kept = to_latents(flow, params, x, context)
    batch = (len(kept), int(scales.max()) + 1, num)
    numbers = np.indices(batch).reshape(3, -1).T
    drawn = np.asarray(_draw(flow, key, jnp.asarray(numbers))).reshape(batch + flow.event_shape)
    is_kept = scales >= np.arange(batch[1]).reshape(1, -1, 1, 1, 1, 1)
    if context is not None and np.ndim(context) == 2:
        context = np.asarray(context)[:, None, None]
    return from_latents(flow, params, np.where(is_kept, kept[:, None, None], drawn), context)


@functools.partial(jax.jit, static_argnums=0)
def _draw(flow: Flow, key: jax.Array, numbers: Int[Array, "n k"]) -> Array:
    """Latents from the base, [n, *event]; each depends on the key and on its row of k numbers."""
    return jax.vmap(lambda row: flow.base.sample(functools.reduce(jax.random.fold_in, row, key), flow.event_shape))(
        numbers
    )
