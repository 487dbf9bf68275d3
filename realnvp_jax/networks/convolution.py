"""Convolution for the conditioners: stride 1, NHWC, by default odd kernels and SAME padding.

A 1x1 kernel is a matrix product. For larger kernels XLA's CPU backend computes the gradient with respect to the
kernel several times slower than the convolution itself; `convolve_for_training` forms it there as one matrix
product for each kernel position. That rule has no forward mode, so evaluation uses plain `convolve`.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=padding or _same_padding(kernel),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _same_padding(kernel: jax.Array) -> Padding:
    rows, columns = kernel.shape[:2]
    return (rows // 2, rows // 2), (columns // 2, columns // 2)


_SMALLEST_IMAGE_FOR_PRODUCTS = 16 * 16  # on 8x8 images the products are no faster, and take longer to compile


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _convolve_fast_gradient(x, kernel, padding):
    return convolve(x, kernel, padding)


def convolve_for_training(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kh kw channels features"],
    padding: Padding | None = None,
) -> Float[Array, "n height width features"]:
    """`convolve` with a fast gradient on CPUs; reverse mode only."""
    height, width = x.shape[1:3]
    if kernel.shape[:2] == (1, 1) or height * width < _SMALLEST_IMAGE_FOR_PRODUCTS:
        return convolve(x, kernel, padding)
    return _convolve_fast_gradient(x, kernel, padding or _same_padding(kernel))


def _forward(x, kernel, padding):
    return convolve(x, kernel, padding), (x, kernel)


def _backward(padding, residuals, g):
    x, kernel = residuals
    (x_gradient,) = jax.vjp(lambda x: convolve(x, kernel, padding), x)[1](g)
    kernel_gradient = jax.lax.platform_dependent(
        x,
        kernel,
        g,
        cpu=functools.partial(_kernel_gradient_by_products, padding),
        default=functools.partial(_kernel_gradient, padding),
    )
    return x_gradient, kernel_gradient


def _kernel_gradient(padding, x, kernel, g):
    (gradient,) = jax.vjp(lambda kernel: convolve(x, kernel, padding), kernel)[1](g)
    return gradient


def _kernel_gradient_by_products(padding, x, kernel, g):
    """d/d kernel[i, j] = sum over positions of x shifted by (i, j), outer product g."""
    height, width = x.shape[1:3]
    rows, columns = kernel.shape[:2]
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    g = g.reshape(-1, g.shape[-1])
    gradient = [
        padded[:, i : i + height, j : j + width].reshape(-1, x.shape[-1]).T @ g
        for i in range(rows)
        for j in range(columns)
    ]
    return jnp.stack(gradient).reshape(kernel.shape)


_convolve_fast_gradient.defvjp(_forward, _backward)
