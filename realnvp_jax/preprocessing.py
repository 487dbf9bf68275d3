"""Between pixels and the real line: dequantization, and the logit transform (Section 4.1 of the paper).

Discrete pixels in {0, ..., levels - 1} become continuous by adding uniform noise (`dequantize`), which turns a
density over [0, levels) into a lower bound on the probability of the pixel values. A `Logit`, `Center` or `Rescale`
then maps continuous pixel units to what the bijection works on. Their log-determinants are with respect to
pixel units, so that no constant for the number of levels appears anywhere else.
"""

import dataclasses
import functools
import math
import numbers
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Integer
from numpy.typing import ArrayLike

from realnvp_jax.native import device_array, native_array
from realnvp_jax.random import draw, threefry_key
from realnvp_jax.text import shorten

_FEWEST_DIGITS = 1e-4  # of a logit: relative to this, a pixel value is coarse


def check_levels(levels: Any) -> None:
    """Raise ValueError unless there are two or more levels."""
    if isinstance(levels, bool) or not isinstance(levels, numbers.Integral):
        raise ValueError(f"expected levels to be an integer; got {shorten(levels)}")
    if levels < 2:
        raise ValueError(f"expected at least 2 levels; got {levels}")


def check_pixels(x: jax.Array | np.ndarray, levels: int) -> None:
    """Raise TypeError unless `x` holds integers, ValueError unless they lie in [0, levels).

    Under a JAX transformation values cannot be inspected, and only their type is checked.
    """
    if not jnp.issubdtype(x.dtype, jnp.integer):
        hint = ": convert them, x.astype('uint8')" if x.dtype == bool else ""
        raise TypeError(f"expected integer pixels in [0, {levels}); got {x.dtype}{hint}")
    if isinstance(x, Tracer) or x.size == 0:
        return
    low, high = map(int, jax.device_get((x.min(), x.max())))
    if low < 0 or high >= levels:
        raise ValueError(
            f"expected pixels in [0, {levels}); got values from {low} to {high}: "
            "set `levels` to the number of values that a pixel can take"
        )


def add_uniform_noise(key: jax.Array, x: Integer[Array, "..."]) -> Float[Array, "..."]:
    """Pixels plus noise u, uniform on (0, 1), such that floor(x + u) = x in floating point as well.

    The generator's u = 0 becomes half of its resolution: a logit without a margin (alpha = 0) has no value at 0.
    """
    dtype = jnp.result_type(float)
    pixels = x.astype(dtype)
    noise = jnp.maximum(draw(jax.random.uniform, key, x.shape, dtype), jnp.finfo(dtype).epsneg)
    highest = jnp.nextafter(pixels + 1, jnp.zeros((), dtype))
    return jnp.minimum(pixels + noise, highest)


def dequantize(key: jax.Array, x: ArrayLike, levels: int = 256) -> Float[Array, "..."]:
    """Pixels plus noise u, uniform on (0, 1): continuous values in (0, levels), in pixel units.

    Float32 would round 255 + u to 256 for the largest u; the result always stays below x + 1. It is never exactly 0.

    Args:
      key: random key.
      x: integer pixels in {0, ..., levels - 1}, any shape.
      levels: number of values that a pixel can take, 256 for uint8 images.

    Raises:
      TypeError: x does not hold integers.
      ValueError: a pixel lies outside [0, levels) (not checked under JAX transformations).

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> x = np.array([[0, 3], [16, 7]], np.uint8)
      >>> y = realnvp_jax.dequantize(jax.random.key(0), x, levels=17)
      >>> bool((np.floor(y) == x).all())
      True
    """
    array = native_array(x, "pixels")
    check_pixels(array, levels)
    return _add_uniform_noise(threefry_key(key), device_array(array, jax.dtypes.canonicalize_dtype(array.dtype)))


_add_uniform_noise = jax.jit(add_uniform_noise)


def dequantize_each(
    key: jax.Array, indices: Integer[Array, " n"], x: Integer[Array, "n *event"]
) -> Float[Array, "n *event"]:
    """`dequantize` with noise that depends only on the key and on each example's index.

    The same example gets the same noise in a batch of any size, on any number of devices.
    """
    return jax.vmap(lambda index, pixels: add_uniform_noise(jax.random.fold_in(key, index), pixels))(indices, x)


@functools.partial(jax.jit, static_argnums=1)
def floor_to_levels(x: Float[Array, "..."], levels: int) -> Integer[Array, "..."]:
    """Floor and clamp to {0, ..., levels - 1}, as uint8 (levels of at most 256)."""
    if levels > 256:
        raise ValueError(f"expected at most 256 levels for uint8 pixels; got {levels}")
    return jnp.clip(jnp.floor(x), 0, levels - 1).astype(jnp.uint8)


@dataclasses.dataclass(frozen=True)
class Identity:
    """The identity, whose support is the whole real line."""

    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def contains(self, x: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether x is in the support, elementwise."""
        return jnp.isfinite(x)

    def interior_point(self) -> float:
        """A point inside the support."""
        return 0.0

    def forward(self, x: Float[Array, "..."]) -> tuple[Array, Array]:
        """(x, 0): value and elementwise log-derivative."""
        return x, jnp.zeros_like(x)

    def inverse(self, y: Float[Array, "..."]) -> tuple[Array, Array]:
        """(y, 0)."""
        return y, jnp.zeros_like(y)


@dataclasses.dataclass(frozen=True)
class Rescale:
    """y = x / levels, from [0, levels] to the unit interval, without a logit."""

    levels: int

    def __post_init__(self):
        check_levels(self.levels)

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the support."""
        return 0.0, float(self.levels)

    def contains(self, x: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether x is in the support [0, levels], elementwise."""
        return (x >= 0) & (x <= self.levels)

    def interior_point(self) -> float:
        """A point inside the support."""
        return self.levels / 2

    def forward(self, x: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative, -log(levels)."""
        return x / self.levels, jnp.full_like(x, -np.log(self.levels))

    def inverse(self, y: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative, log(levels)."""
        return y * self.levels, jnp.full_like(y, np.log(self.levels))


@dataclasses.dataclass(frozen=True)
class Center:
    """y = 2 x / levels - 1: pixels to [-1, 1]. The whole real line is its support."""

    levels: int
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __post_init__(self):
        check_levels(self.levels)

    def contains(self, x: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether x is in the support, elementwise."""
        return jnp.isfinite(x)

    def interior_point(self) -> float:
        """A point inside the support."""
        return self.levels / 2

    def forward(self, x: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative, log(2 / levels)."""
        return 2 * x / self.levels - 1, jnp.full_like(x, np.log(2 / self.levels))

    def inverse(self, y: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative, log(levels / 2)."""
        return (y + 1) * (self.levels / 2), jnp.full_like(y, np.log(self.levels / 2))


@dataclasses.dataclass(frozen=True)
class Logit:
    """y = log p - log(1 - p) with p = alpha + (1 - 2 alpha) x / levels.

    The squash towards the middle keeps p away from 0 and 1 for every pixel. The support, where 0 < p < 1, is wider
    than the pixels: x in (-alpha, 1 - alpha) levels / (1 - 2 alpha). With alpha = 0 it is the open interval
    (0, levels): the density is 0 at x = 0 exactly, a value that dequantized pixels never have.

    log |dy/dx| = log((1 - 2 alpha) / levels) - log p - log(1 - p).
    """

    levels: int
    alpha: float

    def __post_init__(self):
        check_levels(self.levels)
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, numbers.Real) or not 0 <= self.alpha < 0.5:
            raise ValueError(f"expected alpha in [0, 0.5); got {str(self.alpha)[:60]}")

    @property
    def support(self) -> tuple[float, float]:
        """The ends of the support."""
        width = self.levels / (1 - 2 * self.alpha)
        return -self.alpha * width, (1 - self.alpha) * width

    def contains(self, x: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Whether x is in the support, elementwise."""
        low, high = self.support
        return (x > low) & (x < high)

    def interior_point(self) -> float:
        """A point inside the support."""
        return self.levels / 2

    def forward(self, x: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative."""
        p = self.alpha + (1 - 2 * self.alpha) * x / self.levels
        low, high = jnp.finfo(x.dtype).tiny, 1 - jnp.finfo(x.dtype).epsneg
        p = jnp.where(p < low, low, jnp.where(p > high, high, p))  # rounding may give 0 or 1; clip halves slopes there
        log_p, log_not_p = jnp.log(p), jnp.log1p(-p)
        return log_p - log_not_p, np.log((1 - 2 * self.alpha) / self.levels) - log_p - log_not_p

    def inverse(self, y: Float[Array, "..."]) -> tuple[Array, Array]:
        """Value and elementwise log-derivative.

        The value stays a few units in the last place inside the support, so that every sample has a finite
        density; the log-derivative is that of the exact map, which differs where `is_coarse`.
        """
        margin = 4 * jnp.finfo(y.dtype).eps
        p = jnp.clip(jax.nn.sigmoid(y), margin, 1 - margin)
        log_derivative = -jax.nn.softplus(y) - jax.nn.softplus(-y) - np.log((1 - 2 * self.alpha) / self.levels)
        return self.levels * (p - self.alpha) / (1 - 2 * self.alpha), log_derivative

    def is_coarse(self, y: Float[Array, "..."]) -> Bool[Array, "..."]:
        """Where x = inverse(y) has too few digits to recover y to within about 1e-3, elementwise.

        Close to the ends of the support, values of x that floating point tells apart have logits that differ by
        eps exp(|y|). In float32 that is so from |y| = 6.7, and beyond 14.5 all y have the same x.
        """
        return jnp.abs(y) > math.log(_FEWEST_DIGITS / jnp.finfo(y.dtype).eps)


Preprocessing = Identity | Rescale | Center | Logit
