"""The arguments of a flow's methods: checks, each with a one-sentence error, and flattened batches."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.native import native_array
from realnvp_jax.preprocessing import check_pixels

Shape = tuple[int, ...]
Batch = tuple[jax.Array, Any, Shape]  # x as [n, *event], context as [n, width] or None, and the batch's own shape


def checked_params(params: Any) -> dict[str, Any]:
    """The variables as a dict; missing collections are taken as empty, since serializers drop empty ones.

    Raises:
      ValueError: the variables do not look like those that `init` and `load` return.
    """
    if not isinstance(params, Mapping) or (params and "params" not in params):
        got = sorted(map(str, params))[:5] if isinstance(params, Mapping) else type(params).__name__
        raise ValueError(
            f'expected the dict {{"params": ..., "batch_stats": ...}} that init and load return; got {got}'
        )
    return {"params": {}, "batch_stats": {}, **params}


def check_data(x: jax.Array, context: Any) -> None:
    """Raise ValueError for a batch [n, *event] that parameters cannot be initialized from, if its values are known."""
    if isinstance(x, Tracer):
        return
    check_finite(np.asarray(x))
    if context is not None:
        check_finite(np.asarray(context), what="context")
    if x.ndim == 2:
        check_not_constant(np.asarray(x))


def batch_shape(x: Any, event_shape: Shape) -> Shape:
    """The leading dimensions of x."""
    split = x.ndim - len(event_shape)
    if split < 0 or tuple(x.shape[split:]) != event_shape:
        raise ValueError(f"expected shape (*batch, {str(event_shape)[1:]}; got {tuple(x.shape)}")
    return tuple(x.shape[:split])


def continuous_batch(x: Any, context: Any, event_shape: Shape, context_size: int, is_discrete: bool) -> Batch:
    """Check continuous values of a floating dtype.

    Args:
      x: [*batch, *event].
      context: [*batch, context_size], or None.
      event_shape: the flow's event shape.
      context_size: the flow's context size.
      is_discrete: whether the flow has levels, for the hint in the message.

    Raises:
      TypeError: x holds integers.
      ValueError: a shape is wrong.
    """
    x = native_array(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        hint = "convert them, x.astype('float32')"
        if is_discrete and x.dtype == bool:
            hint = "make them pixels, x.astype('uint8')"
        elif is_discrete:
            hint = "make pixels continuous with dequantize(key, x), or use bits_per_dim(params, key, x)"
        raise TypeError(f"expected floating-point values; got {x.dtype}: {hint}")
    x = jnp.asarray(x)
    x = x.astype(jnp.promote_types(x.dtype, jnp.result_type(float)))
    return _flattened(x, context, event_shape, context_size)


def pixel_batch(x: Any, context: Any, event_shape: Shape, context_size: int, levels: int) -> Batch:
    """Check discrete pixels.

    Raises:
      TypeError: x does not hold integers.
      ValueError: a pixel is out of range, or a shape is wrong.
    """
    x = native_array(x, "pixels")
    check_pixels(x, levels)
    return _flattened(jnp.asarray(x), context, event_shape, context_size)


def _flattened(x: jax.Array, context: Any, event_shape: Shape, context_size: int) -> Batch:
    batch = batch_shape(x, event_shape)
    check_context(context, context_size)
    if context is not None:
        context = native_array(context, "the context", booleans=True)
        batch = _broadcast(batch, np.shape(context)[:-1])
        x = jnp.broadcast_to(x, batch + event_shape)
    return x.reshape((-1, *event_shape)), flat_context(context, batch, context_size), batch


def flat_context(context: Any, batch: Shape, context_size: int) -> Any:
    """The context as [n, context_size], or None."""
    check_context(context, context_size)
    if context is None:
        return None
    context = jnp.asarray(native_array(context, "the context", booleans=True), jnp.result_type(float))
    _broadcast(batch, context.shape[:-1])
    return jnp.broadcast_to(context, (*batch, context_size)).reshape(-1, context_size)


def check_context(context: Any, context_size: int) -> None:
    """Raise ValueError unless a conditional flow gets a context of its width, and any other flow gets none."""
    if context_size == 0:
        if context is not None:
            raise ValueError("expected no context: this flow was built without a context size")
        return
    width = f"(*batch, {context_size})"
    if context is None:
        raise ValueError(f"expected context of shape {width}; got none, and this flow is conditional")
    if np.ndim(context) == 0 or np.shape(context)[-1] != context_size:
        raise ValueError(f"expected context of shape {width}; got {np.shape(context)}")


def _broadcast(batch: Shape, context_batch: Shape) -> Shape:
    try:
        return tuple(np.broadcast_shapes(batch, context_batch))
    except ValueError:
        raise ValueError(
            f"expected a context whose leading dimensions broadcast against the batch {batch}; got {context_batch}"
        ) from None


def sample_shape(shape: Sequence[int] | int) -> Shape:
    """The shape of samples as a tuple."""
    sizes = (operator.index(shape),) if not isinstance(shape, Sequence) else tuple(map(operator.index, shape))
    if min(sizes, default=0) < 0:
        raise ValueError(f"expected a shape of at least 0 samples; got {sizes}")
    return sizes


def check_latents(z: Any, base: Any) -> None:
    """Raise ValueError for latents outside the base's support, if their values are known."""
    low, high = base.support
    if isinstance(z, Tracer) or (low, high) == (-np.inf, np.inf) or z.size == 0:
        return
    if ((z < low) | (z > high)).any():
        raise ValueError(
            f"expected latents in [{low:g}, {high:g}], the support of {base}; got values from "
            f"{np.nanmin(z):g} to {np.nanmax(z):g}"
        )


def check_temperature(temperature: Any, base: Any) -> None:
    """Raise ValueError for a negative temperature, or any but 1 for a base without a standard deviation to scale."""
    if isinstance(temperature, Tracer):
        if not base.has_scale:
            raise ValueError(f"expected no temperature: {base} has no standard deviation to scale")
        return
    if not np.ndim(temperature) == 0 or not temperature >= 0:
        raise ValueError(f"expected a temperature of at least 0; got {temperature}")
    if not base.has_scale and temperature != 1:
        raise ValueError(f"expected temperature 1: {base} has no standard deviation to scale; got {temperature}")
