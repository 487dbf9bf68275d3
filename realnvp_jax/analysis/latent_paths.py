"""Between latents: paths, grids and the paper's manifolds; and images whose fine latents are drawn anew.

Between two latents a and b at an angle w, cos w = a.b / (|a| |b|), with t from 0 to 1:

    linear       z = (1 - t) a + t b
    spherical    z = ((1 - t) |a| + t |b|) (sin((1 - t) w) a / |a| + sin(t w) b / |b|) / sin w

(linear where a and b are parallel). A grid between four latents has, in row r, the path between the r-th points of the
paths from z1 to z3 and from z2 to z4. A manifold through four latents (equation 19 of the paper) is

    z = cos(phi) (cos(phi') z1 + sin(phi') z2) + sin(phi) (cos(phi') z3 + sin(phi') z4)

Great circles and manifolds belong to normal latents: with a uniform base they are those of Phi^-1(z), brought back by
Phi. The given latents themselves stay what they are.

In the multi-scale architecture every latent is factored out at one scale, half of what is left at each. The first,
finest scales hold details, the last one what an image is about (appendix D of the paper): of an image's latents, those
of the scales >= s are kept and those of the scales < s drawn from the base.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from scipy.special import ndtr, ndtri

from realnvp_jax.base import Uniform
from realnvp_jax.checks import check_finite
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.multiscale import MultiScale
from realnvp_jax.preprocessing import check_pixels

KINDS = ("linear", "spherical")

_BATCH_SIZE = 256
_PARALLEL = 1e-6  # a smaller sine of the angle is that of rounding errors


def to_latents(
    flow: Flow, params: Params, x: ArrayLike, context: ArrayLike | None = None
) -> Float[np.ndarray, "n *event"]:
    """Latents of examples, [n, *event].

    Pixels are taken at the middles of their cells, pixel + 0.5, so that what the inverse brings back floors to the very
    pixels. (On a uniform base single precision has no latents for what lies beyond 5 deviations: those are 1.)

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


def interpolate(
    flow: Flow,
    params: Params,
    corners: ArrayLike,
    num: int,
    *,
    kind: str = "linear",
    context: ArrayLike | None = None,
) -> Float[np.ndarray, "..."]:
    """Values in the data's units along a path between two latents, or on a grid between four.

    Args:
      flow: the flow.
      params: its parameters.
      corners: latents of two points, [2, *event], or of four, [4, *event]: the first row of the grid goes from corner 0
        to corner 1, the last one from corner 2 to corner 3.
      num: points along a side, the corners included.
      kind: linear, or spherical (along great circles, with norms that change linearly).
      context: what the density is conditioned on, [context_size], or one for each point.

    Returns:
      [num, *event] for two corners, [num, num, *event] for four.

    Raises:
      TypeError: the corners hold integers.
      ValueError: there are not two or four corners, or they have another shape or lie outside of the base's support;
        the kind is unknown; num < 2; context has the wrong shape.
    """
    given = _checked_corners(flow, corners, (2, 4))
    arguments.one_of("kind", kind, KINDS)
    arguments.at_least(2, num=num)
    is_normal_space = kind == "spherical"
    ends = _to_normal_space(flow, given) if is_normal_space else given
    if len(given) == 2:
        path = _between(ends[0], ends[1], num, kind)
    else:
        path = _between(_between(ends[0], ends[2], num, kind), _between(ends[1], ends[3], num, kind), num, kind)
    path = _from_normal_space(flow, path) if is_normal_space else path
    path[np.ix_(*[(0, -1)] * (path.ndim - 1))] = given.reshape((2,) * (path.ndim - 1) + (-1,))
    return _inverse(flow, params, path, context)


def manifold(
    flow: Flow, params: Params, corners: ArrayLike, num: int, *, context: ArrayLike | None = None
) -> Float[np.ndarray, "num num *event"]:
    """Values in the data's units on the manifold through four latents, equation 19 of the paper.

    Args:
      flow: the flow.
      params: its parameters.
      corners: latents z1, z2, z3, z4, [4, *event].
      num: of equally spaced angles in [0, 2 pi).
      context: what the density is conditioned on, [context_size], or one for each point.

    Returns:
      [num, num, *event]; phi changes from row to row, phi' from column to column. Entry (0, 0) is that of z1.

    Raises:
      TypeError: the corners hold integers.
      ValueError: there are not four corners, or they have another shape or lie outside of the base's support; num < 2;
        context has the wrong shape.
    """
    given = _checked_corners(flow, corners, (4,))
    arguments.at_least(2, num=num)
    angle = 2 * np.pi * np.arange(num) / num
    circle = np.stack([np.cos(angle), np.sin(angle)])
    weights = np.einsum("ap,bq->pqab", circle, circle).reshape(num, num, 4)
    latents = _from_normal_space(flow, weights @ _to_normal_space(flow, given))
    latents[0, 0] = given[0]
    return _inverse(flow, params, latents, context)


def latent_scales(flow: Flow) -> Int[np.ndarray, "height width channels"]:
    """The scale at which each position of the latent is factored out, from 0, the finest; the last one keeps the rest.

    Args:
      flow: a flow of images with scales (`MultiScale`).

    Raises:
      ValueError: it is another flow.
    """
    if not isinstance(flow.bijection, MultiScale):
        raise ValueError(f"expected a flow of images with scales; got a {type(flow.bijection).__name__}")
    return np.asarray(flow.bijection.apply({}, flow.event_shape, method="latent_scales")).astype(int)


def resample_scales(
    flow: Flow, params: Params, key: jax.Array, x: ArrayLike, num: int, *, context: ArrayLike | None = None
) -> Float[np.ndarray, "n num_scales num *event"]:
    """Images with the latents of their coarse scales and new ones at the fine scales, in the data's units.

    Args:
      flow: a flow of images with scales (`MultiScale`).
      params: its parameters.
      key: random key; the draw of entry [i, s, j] depends on it and on i, s and j alone.
      x: integer pixels [n, *event].
      num: of images for each x and each scale.
      context: what the density is conditioned on, [context_size] or [n, context_size].

    Returns:
      [n, num_scales, num, *event]: entry [i, s, j] keeps the latents of x[i] of the scales >= s, and draws the others.
      With s = 0 it is x[i] itself, at the middles of the cells.

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
    return _in_batches(
        flow, functools.partial(flow.inverse, params), np.where(is_kept, kept[:, None, None], drawn), context
    )


@functools.partial(jax.jit, static_argnums=0)
def _draw(flow: Flow, key: jax.Array, numbers: Int[Array, "n k"]) -> Array:
    """Latents of the base, [n, *event]; each depends on the key and on its own k numbers."""
    return jax.vmap(lambda row: flow.base.sample(functools.reduce(jax.random.fold_in, row, key), flow.event_shape))(
        numbers
    )


def _checked_corners(flow: Flow, corners: ArrayLike, counts: tuple[int, ...]) -> np.ndarray:
    """Corners as [2 or 4, num_dims], in the precision of the flow."""
    values = np.asarray(corners)
    if values.ndim == 0 or len(values) not in counts or values.shape[1:] != flow.event_shape:
        shapes = " or ".join(str((count, *flow.event_shape)) for count in counts)
        raise ValueError(f"expected corners, latents of shape {shapes}; got {values.shape}")
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise TypeError(f"expected corners, latents of a floating dtype, as to_latents returns; got {values.dtype}")
    check_finite(values, what="latents")
    low, high = flow.base.support
    if values.min() < low or values.max() > high:
        raise ValueError(
            f"expected latents in [{low:g}, {high:g}], the support of {flow.base}; got values from {values.min():g} to "
            f"{values.max():g}"
        )
    return values.reshape(len(values), -1).astype(jnp.result_type(float))


def _to_normal_space(flow: Flow, z: np.ndarray) -> np.ndarray:
    """Phi^-1 of uniform latents; 0 and 1 stand for the numbers that the inverse of a mixture takes them for."""
    if not isinstance(flow.base, Uniform):
        return z
    limits = np.finfo(z.dtype)
    inside = np.where(z == 0, limits.epsneg / 2, np.clip(z, limits.tiny, 1 - limits.epsneg))
    return ndtri(inside.astype(np.float64))


def _from_normal_space(flow: Flow, z: np.ndarray) -> np.ndarray:
    """Phi for a uniform base: the inverse of `_to_normal_space`."""
    return ndtr(z) if isinstance(flow.base, Uniform) else z


def _between(a: np.ndarray, b: np.ndarray, num: int, kind: str) -> np.ndarray:
    """Points from a to b, [*batch, num_dims] each, along a new axis: [*batch, num, num_dims]."""
    a, b = a[..., None, :].astype(np.float64), b[..., None, :].astype(np.float64)
    t = np.linspace(0, 1, num)[:, None]
    linear = (1 - t) * a + t * b
    if kind == "linear":
        return linear
    norms = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (a, b)]
    u, v = (z / np.where(norm > 0, norm, 1) for z, norm in zip((a, b), norms, strict=True))
    angle = 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))[..., None]
    is_parallel = (np.sin(angle) < _PARALLEL) | (norms[0] == 0) | (norms[1] == 0)
    direction = np.sin((1 - t) * angle) * u + np.sin(t * angle) * v
    circle = ((1 - t) * norms[0] + t * norms[1]) * direction / np.where(is_parallel, 1, np.sin(angle))
    return np.where(is_parallel, linear, circle)


def _inverse(flow: Flow, params: Params, latents: np.ndarray, context: ArrayLike | None) -> np.ndarray:
    """Data [*batch, *event] of flat latents [*batch, num_dims]."""
    z = latents.astype(jnp.result_type(float)).reshape(latents.shape[:-1] + flow.event_shape)
    return _in_batches(flow, functools.partial(flow.inverse, params), z, context)


def _in_batches(flow: Flow, function: Callable[..., Any], values: np.ndarray, context: ArrayLike | None) -> np.ndarray:
    """First output of function(values, context) for [*batch, *event], in batches of one size, so compiled once."""
    batch = values.shape[: values.ndim - len(flow.event_shape)]
    flat = values.reshape((-1, *flow.event_shape))
    contexts = _broadcast_context(flow, context, batch)
    num_batches = max(1, math.ceil(len(flat) / _BATCH_SIZE))
    size = math.ceil(len(flat) / num_batches)
    rows = np.minimum(np.arange(num_batches * size), len(flat) - 1).reshape(num_batches, size)
    outputs = [np.asarray(function(flat[i], None if contexts is None else contexts[i])[0]) for i in rows]
    return np.concatenate(outputs)[: len(flat)].reshape(values.shape)


def _broadcast_context(flow: Flow, context: ArrayLike | None, batch: tuple[int, ...]) -> np.ndarray | None:
    """Context as [product of the batch, context_size]; whether there has to be one the flow says itself."""
    if context is None:
        return None
    shape, width = np.shape(context), flow.context_size
    if not width:
        raise ValueError(f"expected no context, the flow was built without a context size; got one of shape {shape}")
    leading = zip(shape[-2::-1], reversed(batch), strict=False)
    if shape[-1:] != (width,) or len(shape) > len(batch) + 1 or any(n not in (1, size) for n, size in leading):
        raise ValueError(f"expected context of shape ({width},) or {(*batch, width)}; got {shape}")
    return np.broadcast_to(np.asarray(context), (*batch, width)).reshape(-1, width)
