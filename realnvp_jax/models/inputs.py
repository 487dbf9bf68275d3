"""The arguments of a flow's methods: checks, each with a one-sentence error, and flattened batches."""

import functools
import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.export import is_symbolic_dim

from realnvp_jax.checks import check_context_scale, check_finite, check_not_constant, check_scale
from realnvp_jax.native import device_array, native_array
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.random import threefry_key
from realnvp_jax.text import shorten

Shape = tuple[Any, ...]  # of integers, or of symbolic sizes under `jax.export`
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
    for path, leaf in jax.tree_util.tree_leaves_with_path(params.get("constants", {})):
        dtype = jnp.result_type(leaf)
        if getattr(path[-1], "key", "") == "places" and np.shape(leaf)[-1] > 2 ** (jnp.finfo(dtype).nmant + 1):
            raise ValueError(
                f"expected the places of a permutation in float32; got {np.shape(leaf)[-1]} of them in {dtype}, which "
                "holds fewer whole numbers: leave the collection constants as it was"
            )
    return {"params": {}, "batch_stats": {}, **params}


def check_data(x: jax.Array, context: Any, preprocessing: Any) -> None:
    """Raise ValueError for data that parameters cannot be initialized from, if their values are known.

    Args:
      x: the batch [n, *event].
      context: what it is conditioned on, [*batch, context_size], before it is rounded to float32; or None.
      preprocessing: the preprocessing of the flow, whose support must contain x.
    """
    if isinstance(x, Tracer):
        return
    values = jax.device_get(x)
    check_finite(values)
    if context is not None and not isinstance(context, Tracer):
        given = np.asarray(jax.device_get(native_array(context, "the context", booleans=True)))
        given = given.reshape(-1, given.shape[-1])
        with np.errstate(over="ignore"):
            check_finite(given.astype(jnp.result_type(float)), what="context")
        check_context_scale(given)
    if values.ndim == 2:
        check_not_constant(values)
        if values.dtype == np.float32 and len(values) > 1:
            check_scale(values)
    with jax.ensure_compile_time_eval():  # x may be a constant of a function that is being traced
        is_contained = bool(np.asarray(_contains(preprocessing, x)).all())
    if not is_contained:
        raise ValueError(
            f"expected x in the support of {preprocessing}, outside of which the density is 0; got {values.min():g} to "
            f"{values.max():g}: rescale x"
        )


@functools.partial(jax.jit, static_argnums=0)
def _contains(preprocessing: Any, x: jax.Array) -> jax.Array:
    return preprocessing.contains(x)


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
    return _flattened(floating(x), context, event_shape, context_size)


def floating(x: Any) -> jax.Array:
    """Values as an array of at least the default floating-point type."""
    values = native_array(x)
    return device_array(values, jnp.promote_types(values.dtype, jnp.result_type(float)))


def check_discrete(levels: int | None) -> int:
    """The levels; raise ValueError if a flow has none."""
    if levels is None:
        raise ValueError("expected a flow over discrete data; this one has no levels: use log_prob for its density")
    return levels


def pixel_batch(x: Any, context: Any, event_shape: Shape, context_size: int, levels: int) -> Batch:
    """Check discrete pixels.

    Raises:
      TypeError: x does not hold integers.
      ValueError: a pixel is out of range, or a shape is wrong.
    """
    x = native_array(x, "pixels")
    check_pixels(x, levels)
    pixels = device_array(x, jax.dtypes.canonicalize_dtype(x.dtype))
    return _flattened(pixels, context, event_shape, context_size)


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
    context = device_array(native_array(context, "the context", booleans=True), jnp.result_type(float))
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
        return tuple(jnp.broadcast_shapes(batch, context_batch))
    except ValueError:
        raise ValueError(
            f"expected a context whose leading dimensions broadcast against the batch {batch}; got {context_batch}"
        ) from None


class SampleRequest(NamedTuple):
    """The arguments of `pure.sample`.

    Attributes:
      variables: the parameters.
      key: a threefry key.
      batch: leading dimensions of the samples, which are those that were asked for and those of the context.
      context: [n, width], or None.
      temperature: factor on the base's standard deviation.
    """

    variables: dict[str, Any]
    key: jax.Array
    batch: Shape
    context: Any
    temperature: jax.Array


def sample_request(flow: Any, params: Any, key: Any, shape: Any, context: Any, temperature: Any) -> SampleRequest:
    """Check the arguments of `Flow.sample`.

    Raises:
      TypeError: key is not a random key, or shape does not hold integers.
      ValueError: a number is out of range, or the context has the wrong shape.
    """
    temperature = checked_temperature(temperature, flow.base)
    batch = sample_shape(shape) + (() if context is None else tuple(np.shape(context)[:-1]))
    context = flat_context(context, batch, flow.context_size)
    return SampleRequest(checked_params(params), threefry_key(key), batch, context, temperature)


def sample_shape(shape: Any) -> Shape:
    """The shape of samples as a tuple; under `jax.export` it may hold symbolic sizes."""
    sizes: tuple[Any, ...] = (shape,) if isinstance(shape, str) or not np.iterable(shape) else tuple(shape)
    try:
        sizes = tuple(size if is_symbolic_dim(size) else operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(f"expected a shape of integers, such as 5 or (2, 3); got {shorten(shape)}") from None
    if any(not is_symbolic_dim(size) and size < 0 for size in sizes):
        raise ValueError(f"expected a shape of at least 0 samples; got {sizes}")
    return sizes


def check_latents(z: Any, base: Any) -> None:
    """Raise ValueError for latents outside the base's support, if their values are known."""
    low, high = base.support
    if isinstance(z, Tracer) or (low, high) == (-np.inf, np.inf) or z.size == 0:
        return
    z = jax.device_get(z)
    if ((z < low) | (z > high)).any():
        raise ValueError(
            f"expected latents in [{low:g}, {high:g}], the support of {base}; got values from "
            f"{np.nanmin(z):g} to {np.nanmax(z):g}"
        )


def checked_temperature(temperature: Any, base: Any) -> jax.Array:
    """The temperature on the device.

    Raises:
      TypeError: it is not one number.
      ValueError: it is negative or not finite; or it is not 1, for a base without a standard deviation to scale.
    """
    if isinstance(temperature, Tracer) and temperature.ndim == 0:
        if not base.has_scale:
            raise ValueError(f"expected no temperature: {base} has no standard deviation to scale")
        return temperature
    value = temperature if isinstance(temperature, Tracer) else np.asarray(jax.device_get(temperature))
    if value.ndim or not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
        raise TypeError(f"expected a temperature that is one number; got {shorten(temperature)}")
    if not 0 <= value < np.inf:
        raise ValueError(f"expected a finite temperature of at least 0; got {temperature}")
    if not base.has_scale and value != 1:
        raise ValueError(f"expected temperature 1: {base} has no standard deviation to scale; got {temperature}")
    return device_array(value, jnp.result_type(float))
