"""Autoregressive flows: each element of a vector or image passes through the CDF of a mixture, given earlier ones."""

from collections.abc import Sequence

import numpy as np

from realnvp_jax.base import Base, Normal, Uniform
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.mixtures import BASES
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.pixelcnn import PixelCNN
from realnvp_jax.networks.separate import SeparateNetworks
from realnvp_jax.preprocessing import Center

CONDITIONERS = ("made", "separate")
ORDERS = ("natural", "reversed", "random")


def element_order(order: str | Sequence[int], num_dims: int, seed: int) -> tuple[int, ...]:
    """The indices of the elements, in their order.

    Args:
      order: natural, reversed, random (by `seed`), or the indices themselves.
      num_dims: number of elements.
      seed: seed of a random order.

    Raises:
      ValueError: the order is unknown, or is not a permutation of 0 ... num_dims - 1.
    """
    if isinstance(order, str):
        if order not in ORDERS:
            raise ValueError(f"expected order to be one of {ORDERS}, or numbers; got {order[:60]!r}")
        if order == "random":
            return tuple(np.random.default_rng(seed).permutation(num_dims).tolist())
        natural = tuple(range(num_dims))
        return natural[::-1] if order == "reversed" else natural
    numbers = arguments.integers("order", order, "(1, 0)")
    if sorted(numbers) != list(range(num_dims)):
        raise ValueError(f"expected order to be a permutation of 0 ... {num_dims - 1}; got {str(numbers)[:100]}")
    return numbers


def autoregressive_flow(
    num_dims: int,
    num_components: int = 12,
    hidden: Sequence[int] = (128, 128),
    context: int | None = None,
    *,
    conditioner: str = "made",
    order: str | Sequence[int] = "natural",
    residual: bool = False,
    mixture: str = "gaussian",
    base: str = "uniform",
    activation: str = "relu",
    seed: int = 0,
) -> Flow:
    """Autoregressive flow of vectors: z_k = F(x_k; x_1 ... x_{k-1}), the CDF of a mixture.

    The density is the product of the mixtures' densities. It takes one evaluation of the conditioner; a sample takes
    num_dims evaluations. `flow.init(key, x)` sets a standardization of x and the context, which is part of the density.

    With the uniform base, single precision cannot represent quantiles above 5 standard deviations: the latents of
    points beyond are 1. Their densities are exact nevertheless. The normal base has latents for all points.

    Args:
      num_dims: size of the vectors, 1 or more.
      num_components: components of every mixture.
      hidden: widths of the hidden layers of the conditioner; () makes it linear.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      conditioner: made (MADE, a masked network), or separate (one network per element, for few dimensions).
      order: order of the elements: natural, reversed, random (by `seed`), or their indices.
      residual: whether the hidden layers of made add their input, which requires equal widths in `hidden`.
      mixture: kind of the components, gaussian or logistic.
      base: uniform on [0, 1]^D, or normal.
      activation: activation of the conditioner: relu, tanh, silu or gelu.
      seed: seed of a random order.

    Raises:
      ValueError: a size is not positive, the order is not a permutation, or a choice is unknown.

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> flow = realnvp_jax.autoregressive_flow(3, num_components=2, hidden=(16,))
      >>> params = flow.init(jax.random.key(0))
      >>> z, log_det = flow.forward(params, np.zeros((5, 3)))
      >>> z.shape, log_det.shape
      ((5, 3), (5,))
    """
    arguments.at_least(1, num_dims=num_dims)
    arguments.at_least(0, seed=seed)
    sizes = arguments.widths(hidden, can_be_empty=True)
    arguments.choice("conditioner", conditioner, CONDITIONERS)
    arguments.check_residual(residual, sizes)
    if residual and conditioner != "made":
        raise ValueError(f"expected conditioner 'made' for residual connections; got {conditioner!r}")
    transform, base_distribution = _mixture(num_components, mixture, base)
    width = arguments.context_size(context)
    settings = (element_order(order, num_dims, seed), sizes, transform.parameters_per_dim, width, activation)
    network = SeparateNetworks(*settings) if conditioner == "separate" else MADE(*settings, residual=residual)
    return Flow(
        event_shape=(num_dims,),
        bijection=Standardized(Autoregressive(network, transform)),
        base=base_distribution,
        context_size=width,
    )


def pixelcnn_flow(
    event_shape: Sequence[int] = (28, 28, 1),
    levels: int = 256,
    num_components: int = 12,
    features: int = 48,
    num_blocks: int = 5,
    context: int | None = None,
    *,
    kernel_size: int = 5,
    mixture: str = "gaussian",
    base: str = "uniform",
) -> Flow:
    """Autoregressive flow of images, with a PixelCNN: pixels in raster order, the channels of each one after the other.

    Dequantized pixels, scaled to [-1, 1], pass through the CDFs of mixtures, whose support is the whole real line, so
    samples may lie slightly outside [0, levels]; `flow.to_uint8` clamps them. It takes a mixture of about 12 components
    to follow the steps of dequantized pixels to within 0.01 bits.

    A density takes one evaluation of the network. A sample takes height x width x channels steps in one compiled loop;
    each evaluates the network at one pixel only.

    Args:
      event_shape: (height, width, channels).
      levels: number of values that a pixel can take.
      num_components: components of every mixture.
      features: number of features of the network, a multiple of 2 * channels.
      num_blocks: number of residual blocks.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      kernel_size: width of the blocks' convolutions, odd; the first convolution is wider by 2.
      mixture: kind of the components, gaussian or logistic.
      base: uniform on [0, 1]^D, or normal.

    Raises:
      ValueError: a size is not positive, the channels do not divide the features, the kernel size is even, or a choice
        is unknown.
    """
    shape = arguments.image_shape(event_shape)
    arguments.at_least(1, features=features, num_blocks=num_blocks, kernel_size=kernel_size)
    arguments.at_least(2, levels=levels)
    if kernel_size % 2 == 0:
        raise ValueError(f"expected an odd kernel_size, which has a pixel in its middle; got {kernel_size}")
    if features % (2 * shape[2]):
        near = max(1, round(features / (2 * shape[2]))) * 2 * shape[2]
        raise ValueError(
            f"expected features to be a multiple of {2 * shape[2]}, twice the image's {shape[2]} channels, whose masks "
            f"need a group of features each; got {features}: try {near}"
        )
    transform, base_distribution = _mixture(num_components, mixture, base)
    network = PixelCNN(shape, features, num_blocks, kernel_size, transform.parameters_per_dim)
    return Flow(
        event_shape=shape,
        bijection=Autoregressive(network, transform),
        base=base_distribution,
        preprocessing=Center(levels),
        levels=levels,
        context_size=arguments.context_size(context),
    )


def _mixture(num_components: int, mixture: str, base: str) -> tuple[Mixture, Base]:
    """The transform, and the base distribution of its values."""
    arguments.choice("base", base, BASES)
    return Mixture(num_components, mixture, base), Uniform() if base == "uniform" else Normal()
