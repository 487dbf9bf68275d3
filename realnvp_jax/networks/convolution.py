"""Convolution for the conditioners: stride 1, NHWC, by default odd kernels and SAME padding.

    y[p] = sum_t x[p + t] kernel[t]
    d loss / d x[p]      = sum_t g[p - t] kernel[t]^T       a convolution with the flipped kernel
    d loss / d kernel[t] = sum_p x[p + t]^T g[p]            one matrix product for each tap t

A 1x1 kernel is a matrix product. For larger kernels the gradients that JAX derives are slow on XLA's CPU backend:
inside a loop, 5 times (x) and 30 times (kernel) slower than the formulas above, which are therefore written out here.
`convolve` can be differentiated in every mode. `convolve_for_training` can be differentiated in reverse mode only, but
compiles faster, and uses the gradients that JAX derives on all other backends. Layers call `convolve_in_mode`.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from realnvp_jax.mode import Mode

Padding = tuple[tuple[int, int], tuple[int, int]]  # ((above, below), (left, right))


def convolve(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kh kw channels features"],
    padding: Padding | None = None,
) -> Float[Array, "n height width features"]:
    """Convolve; differentiable in every mode.

    Args:
      x: images.
      kernel: the kernel.
      padding: zeros around x that keep its size; None for SAME.
    """
    x, kernel = promote_dtype(x, kernel)  # parameters may be stored in bfloat16
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return _convolve_any_mode(x, kernel, padding or _same_padding(kernel), _precision())


def convolve_for_training(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kh kw channels features"],
    padding: Padding | None = None,
) -> Float[Array, "n height width features"]:
    """`convolve`, differentiable in reverse mode only."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return _convolve_reverse_mode(x, kernel, padding or _same_padding(kernel), _precision())


def convolve_in_mode(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kh kw channels features"],
    mode: Mode,
    padding: Padding | None = None,
) -> Float[Array, "n height width features"]:
    """The convolution of a layer in a mode; if x is bfloat16, the kernel and the result are, too."""
    dtype = x.dtype if x.dtype == jnp.bfloat16 else jnp.promote_types(x.dtype, kernel.dtype)
    return (convolve_for_training if mode.trains else convolve)(x.astype(dtype), kernel.astype(dtype), padding)


def _same_padding(kernel: jax.Array) -> Padding:
    rows, columns = kernel.shape[:2]
    return (rows // 2, rows // 2), (columns // 2, columns // 2)


def _precision() -> Any:
    """The precision of products at the caller, which the rules for gradients keep, wherever they are traced."""
    return jax.config.jax_default_matmul_precision  # pyright: ignore


def _convolve(x: jax.Array, kernel: jax.Array, padding: Padding, precision: Any) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=precision,
    )


def _turned(kernel: jax.Array, padding: Padding) -> tuple[jax.Array, Padding]:
    """Kernel and padding of the convolution that takes the output's gradient to the input's."""
    (above, below), (left, right) = padding
    rows, columns = kernel.shape[:2]
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return turned, ((rows - 1 - above, rows - 1 - below), (columns - 1 - left, columns - 1 - right))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _convolve_any_mode(x, kernel, padding, precision):
    return _convolve(x, kernel, padding, precision)


@functools.partial(_convolve_any_mode.defjvp, symbolic_zeros=True)
def _tangent(padding: Padding, precision: Any, primals: tuple[jax.Array, jax.Array], tangents: tuple[Any, Any]):
    """Tangent of a bilinear map, written such that its transposes are the gradients in the module docstring."""
    x, kernel = primals
    y = _convolve_any_mode(x, kernel, padding, precision)
    total = jnp.zeros_like(y)
    if not isinstance(tangents[0], SymbolicZero):
        turned, turned_padding = _turned(kernel, padding)
        (part,) = jax.linear_transpose(lambda g: _convolve(g, turned, turned_padding, precision), y)(tangents[0])
        total = total + part
    if not isinstance(tangents[1], SymbolicZero):
        total = total + _by_taps(x, tangents[1], padding, precision)
    return y, total


def _by_taps(x: jax.Array, kernel: jax.Array, padding: Padding, precision: Any) -> jax.Array:
    """The convolution as one matrix product for each tap."""
    (height, width), (rows, columns) = x.shape[1:3], kernel.shape[:2]
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    taps = [(i, j) for i in range(rows) for j in range(columns)]
    windows = [padded[:, i : i + height, j : j + width] for i, j in taps]
    products = [jnp.matmul(window, kernel[tap], precision=precision) for window, tap in zip(windows, taps, strict=True)]
    return functools.reduce(jnp.add, products)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _convolve_reverse_mode(x, kernel, padding, precision):
    return _convolve(x, kernel, padding, precision)


def _forward(x, kernel, padding, precision):
    return _convolve(x, kernel, padding, precision), (x, kernel)


def _backward(padding, precision, residuals, g):
    x, kernel = residuals
    return jax.lax.platform_dependent(
        x,
        kernel,
        g,
        cpu=functools.partial(_gradients_by_products, padding, precision),
        default=functools.partial(_gradients, padding, precision),
    )


def _gradients(padding, precision, x, kernel, g):
    return jax.vjp(lambda x, kernel: _convolve(x, kernel, padding, precision), x, kernel)[1](g)


def _gradients_by_products(padding, precision, x, kernel, g):
    (n, height, width, channels), (rows, columns, _, features) = x.shape, kernel.shape
    padded = jnp.pad(x.transpose(3, 0, 1, 2), ((0, 0), (0, 0), *padding))
    positions = g.reshape(-1, features)

    def tap(number: jax.Array) -> jax.Array:
        corner = (0, 0, number // columns, number % columns)
        window = jax.lax.dynamic_slice(padded, corner, (channels, n, height, width)).reshape(channels, -1)
        return jnp.matmul(window, positions, precision=precision)

    kernel_gradient = jax.lax.map(tap, jnp.arange(rows * columns)).reshape(kernel.shape)
    return _convolve(g, *_turned(kernel, padding), precision), kernel_gradient


_convolve_reverse_mode.defvjp(_forward, _backward)
