"""Between latents: paths, grids and the paper's manifolds.

Between two latents a and b at an angle w, cos w = a.b / (|a| |b|), with t from 0 to 1:

    linear       z = (1 - t) a + t b
    spherical    z = ((1 - t) |a| + t |b|) (sin((1 - t) w) a / |a| + sin(t w) b / |b|) / sin w

(linear where a and b are parallel). A grid between four latents has, in row r, the path between the r-th points of the
paths from z1 to z3 and from z2 to z4. A manifold through four latents (equation 19 of the paper) is

    z = cos(phi) (cos(phi') z1 + sin(phi') z2) + sin(phi) (cos(phi') z3 + sin(phi') z4)

Great circles and manifolds belong to normal latents: with a uniform base they are those of Phi^-1(z), brought back by
Phi. The given latents themselves stay what they are.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float
from scipy.special import ndtr, ndtri

from realnvp_jax.analysis.latents import from_latents
from realnvp_jax.base import Uniform
from realnvp_jax.checks import check_finite
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow, Params

KINDS = ("linear", "spherical")

_PARALLEL = 1e-6  # a smaller sine of the angle is a rounding error


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
        to corner 1, the last row from corner 2 to corner 3.
      num: number of points along a side, including the corners.
      kind: linear, or spherical (along great circles, with norms that change linearly).
      context: what the density is conditioned on, [context_size], or one for each point.

    Returns:
      [num, *event] for two corners, [num, num, *event] for four.

    Raises:
      TypeError: the corners hold integers.
      ValueError: there are not two or four corners, or they have another shape or lie outside the base's support;
        the kind is unknown; num < 2; context has the wrong shape.
    """
    given = _checked_corners(flow, corners, (2, 4))
    if kind not in KINDS:
        raise ValueError(f"expected kind to be one of {KINDS}; got {kind!r}")
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
      num: number of equally spaced angles in [0, 2 pi).
      context: what the density is conditioned on, [context_size], or one for each point.

    Returns:
      [num, num, *event]; phi changes from row to row, phi' from column to column. Entry (0, 0) belongs to z1.

    Raises:
      TypeError: the corners hold integers.
      ValueError: there are not four corners, or they have another shape or lie outside the base's support; num < 2;
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


def _checked_corners(flow: Flow, corners: ArrayLike, counts: tuple[int, ...]) -> np.ndarray:
    """Check the corners and return them as [2 or 4, num_dims], in the precision of the flow."""
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
    """Phi^-1 of uniform latents; 0 and 1 are replaced by the numbers that the inverse of a mixture replaces them by."""
    if not isinstance(flow.base, Uniform):
        return z
    limits = np.finfo(z.dtype)
    inside = np.where(z == 0, limits.epsneg / 2, np.clip(z, limits.tiny, 1 - limits.epsneg))
    return ndtri(inside.astype(np.float64))


def _from_normal_space(flow: Flow, z: np.ndarray) -> np.ndarray:
    """Phi for a uniform base: inverse of `_to_normal_space`."""
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
    return from_latents(flow, params, z, context)
