"""Examples to latents and latents to values, in batches of one size so that each direction compiles once."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import batch_shape
from realnvp_jax.preprocessing import check_pixels

_BATCH_SIZE = 256


def to_latents(
    flow: Flow, params: Params, x: ArrayLike, context: ArrayLike | None = None
) -> Float[np.ndarray, "n *event"]:
    """Latents of examples, [n, *event].

    Pixels are taken at pixel + 0.5, so that the values that the inverse returns floor to the same pixels. (With a
    uniform base, single precision cannot represent the latents of values beyond 5 standard deviations: they become 1.)

    Args:
      flow: the flow.
      params: its parameters.
      x: integer pixels [n, *event] if the flow has levels, else floating-point values [n, *event].
      context: what the density is conditioned on, [context_size] or [n, context_size].

    Raises:
      TypeError: x holds floating-point values where pixels are expected, or integers where they are not.
      ValueError: x or context has the wrong shape, or a pixel is out of range.
    """
    values = np.asarray(x)
    if values.ndim == 0 or values.shape[1:] != flow.event_shape:
        raise ValueError(f"expected shape (n, {str(flow.event_shape)[1:]}; got {values.shape}")
    if flow.levels is not None:
        check_pixels(values, flow.levels)
        values = values.astype(jnp.result_type(float)) + 0.5
    return _in_batches(flow, functools.partial(flow.forward, params), values, context)


def from_latents(
    flow: Flow, params: Params, z: ArrayLike, context: ArrayLike | None = None
) -> Float[np.ndarray, "..."]:
    """Values, in the data's units, of latents [*batch, *event].

    Args:
      flow: the flow.
      params: its parameters.
      z: the latents.
      context: what the density is conditioned on, [context_size], or one for each latent.

    Raises:
      ValueError: the latents or the context have the wrong shape.
    """
    return _in_batches(flow, functools.partial(flow.inverse, params), np.asarray(z), context)


def _in_batches(flow: Flow, function: Callable[..., Any], values: np.ndarray, context: ArrayLike | None) -> np.ndarray:
    """First output of function(values, context) for [*batch, *event], in batches of one size, so compiled once."""
    batch = batch_shape(values, flow.event_shape)
    flat = values.reshape((-1, *flow.event_shape))
    contexts = _broadcast_context(flow, context, batch)
    num_batches = max(1, math.ceil(len(flat) / _BATCH_SIZE))
    size = math.ceil(len(flat) / num_batches)
    rows = np.minimum(np.arange(num_batches * size), len(flat) - 1).reshape(num_batches, size)
    outputs = [np.asarray(function(flat[i], None if contexts is None else contexts[i])[0]) for i in rows]
    return np.concatenate(outputs)[: len(flat)].reshape(values.shape)


def _broadcast_context(flow: Flow, context: ArrayLike | None, batch: tuple[int, ...]) -> np.ndarray | None:
    """Context as [product of the batch, context_size]; the flow itself raises if it needs a context and gets none."""
    if context is None:
        return None
    shape, width = np.shape(context), flow.context_size
    if not width:
        raise ValueError(f"expected no context: this flow was built without a context size; got one of shape {shape}")
    leading = zip(shape[-2::-1], reversed(batch), strict=False)
    if shape[-1:] != (width,) or len(shape) > len(batch) + 1 or any(n not in (1, size) for n, size in leading):
        raise ValueError(f"expected context of shape ({width},) or {(*batch, width)}; got {shape}")
    return np.broadcast_to(np.asarray(context), (*batch, width)).reshape(-1, width)
