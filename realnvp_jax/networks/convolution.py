"""Convolution for the conditioners: stride 1, SAME padding, NHWC, odd kernels.

A 1x1 kernel is a matrix product. For larger kernels XLA's CPU backend computes the gradient with respect to the
kernel several times slower than the convolution itself; `convolve_for_training` forms it there as one matrix
product for each kernel position. That rule has no forward mode, so evaluation uses plain `convolve`.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def convolve(
    x: Float[Array, "n height width channels"], kernel: Float[Array, "kh kw channels features"]
) -> Float[Array, "n height width features"]:
    """Convolve; differentiable in every mode."""
    if kernel.shape[:2] == (1, 1):
        return x @ kernel[0, 0]
    return jax.lax.conv_general_dilated(
        x, kernel, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


_SMALLEST_IMAGE_FOR_PRODUCTS = 16 * 16  # on 8x8 images the products are no faster, and take longer to compile


@jax.custom_vjp
def _convolve_fast_gradient(x, kernel):
    return convolve(x, kernel)


def convolve_for_training(
    x: Float[Array, "n height width channels"], kernel: Float[Array, "kh kw channels features"]
) -> Float[Array, "n height width features"]:
    """`convolve` with a fast gradient on CPUs; reverse mode only."""
    height, width = x.shape[1:3]
    if kernel.shape[:2] == (1, 1) or height * width < _SMALLEST_IMAGE_FOR_PRODUCTS:
        return convolve(x, kernel)
    return _convolve_fast_gradient(x, kernel)


def _forward(x, kernel):
    return convolve(x, kernel), (x, kernel)


def _backward(residuals, g):
    x, kernel = residuals
    (x_gradient,) = jax.vjp(lambda x: convolve(x, kernel), x)[1](g)
    kernel_gradient = jax.lax.platform_dependent(
        x, kernel, g, cpu=_kernel_gradient_by_products, default=_kernel_gradient
    )
    return x_gradient, kernel_gradient


def _kernel_gradient(x, kernel, g):
    (gradient,) = jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](g)
    return gradient


def _kernel_gradient_by_products(x, kernel, g):
    """d/d kernel[i, j] = sum over positions of x shifted by (i, j), outer product g."""
    height, width = x.shape[1:3]
    rows, columns = kernel.shape[:2]
    padded = jnp.pad(x, ((0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0)))
    g = g.reshape(-1, g.shape[-1])
    gradient = [
        padded[:, i : i + height, j : j + width].reshape(-1, x.shape[-1]).T @ g
        for i in range(rows)
        for j in range(columns)
    ]
    return jnp.stack(gradient).reshape(kernel.shape)


_convolve_fast_gradient.defvjp(_forward, _backward)
