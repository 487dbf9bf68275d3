"""PixelCNN: masked convolutions (van den Oord et al., Pixel Recurrent Neural Networks, 2016, Section 3).

The elements of an image are in raster order: row by row, pixel by pixel, and within a pixel channel by channel. A
convolution sees the rows above and the pixels to the left. What it sees of its own pixel depends on the channel: the
features form as many groups as there are channels, in the same order, and

    type A    a feature of group g sees the channels c < g of its own pixel (the first convolution, from the image),
    type B    a feature of group g sees the features of the groups g' <= g (all others).

The parameters of channel c come from the features of group c, so they depend only on the elements before it.

Stacked convolutions see a cone of the rows above, which widens to the right with every row, and everything to the left
within their reach; pixels above and far to the right are a blind spot.

A kernel has only the rows that it sees: (size + 1) / 2 of them, the last being the pixel's own. For sampling, the state
keeps the input of every convolution that is wider than a pixel, so that an element costs one pixel of the network, and
a whole image about as much as one evaluation per channel.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.convolution import Padding, convolve_in_mode
from realnvp_jax.networks.sequential import SequentialConditioner
from realnvp_jax.random import draw


def groups(size: int, num_groups: int) -> np.ndarray:
    """The group of each of `size` channels or features: equal groups, in order."""
    return np.arange(size) * num_groups // size


class CausalConv(nn.Module):
    """A masked convolution.

    Attributes:
      features: number of output features, a multiple of num_groups.
      kernel_size: width of the kernel, odd.
      num_groups: channels of the image.
      is_type_a: whether a feature cannot see its own group at its own pixel.
      starts_at_zero: whether the kernel starts at zero, rather than at N(0, 2 / number of inputs that a feature sees).
    """

    features: int
    kernel_size: int
    num_groups: int
    is_type_a: bool = False
    starts_at_zero: bool = False

    @property
    def padding(self) -> Padding:
        """Zeros around the image."""
        reach = self.kernel_size // 2
        return (reach, 0), (reach, reach)

    def _mask(self, channels: int) -> Bool[np.ndarray, "rows columns channels features"]:
        reach = self.kernel_size // 2
        mask = np.ones((reach + 1, self.kernel_size, channels, self.features), bool)
        mask[reach, reach + 1 :] = False
        group_in, group_out = groups(channels, self.num_groups), groups(self.features, self.num_groups)
        mask[reach, reach] = group_in[:, None] <= group_out[None] - int(self.is_type_a)
        return mask

    @nn.compact
    def _kernel_and_bias(self, channels: int) -> tuple[Array, Array]:
        mask = self._mask(channels)

        def initial(key: jax.Array) -> jax.Array:
            dtype = jnp.result_type(float)
            if self.starts_at_zero:
                return jnp.zeros(mask.shape, dtype)
            num_seen = np.maximum(mask.sum(axis=(0, 1, 2), keepdims=True), 1)
            return jnp.asarray(np.sqrt(2 / num_seen), dtype) * draw(jax.random.normal, key, mask.shape, dtype)

        kernel = self.param("kernel", initial)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return jnp.where(mask, kernel, 0), bias

    def __call__(self, x: Float[Array, "n height width channels"], mode: Mode = EVALUATE) -> Array:
        """Convolve whole images."""
        kernel, bias = self._kernel_and_bias(x.shape[-1])
        y = convolve_in_mode(x, kernel, mode, self.padding)
        return y + bias.reshape(1, 1, 1, -1)

    def start(self, n: Any, height: int, width: int, channels: int, dtype) -> Float[Array, "n rows columns channels"]:
        """The padded input of n images that are still unknown."""
        (above, _), (left, right) = self.padding
        return jnp.zeros((n, above + height, left + width + right, channels), dtype)

    def put(self, padded: Array, pixel: Float[Array, "n channels"], row: Array, column: Array) -> Array:
        """The padded input with one pixel set."""
        (above, _), (left, _) = self.padding
        return jax.lax.dynamic_update_slice(padded, pixel[:, None, None], (0, row + above, column + left, 0))

    def at(self, padded: Array, row: Array, column: Array) -> Float[Array, "n features"]:
        """The output at one pixel, from the padded input."""
        n, _, _, channels = padded.shape
        kernel, bias = self._kernel_and_bias(channels)
        patch = jax.lax.dynamic_slice(padded, (0, row, column, 0), (n, *kernel.shape[:3]))
        return jnp.tensordot(patch, kernel, axes=3) + bias[None]


class ResidualBlock(nn.Module):
    """Three times relu and convolution: to half of the features, across pixels, and back; the caller adds the result.

    Attributes:
      features: features of the stream.
      kernel_size: width of the convolution across pixels.
      num_groups: channels of the image.
    """

    features: int
    kernel_size: int
    num_groups: int

    def setup(self):
        """The convolutions."""
        self.conv_in = CausalConv(self.features // 2, 1, self.num_groups)
        self.conv = CausalConv(self.features // 2, self.kernel_size, self.num_groups)
        self.conv_out = CausalConv(self.features, 1, self.num_groups, starts_at_zero=True)

    def __call__(self, x: Float[Array, "n height width features"], mode: Mode) -> Array:
        """The residual alone."""
        h = self.conv_in(nn.relu(x), mode)
        h = self.conv(nn.relu(h), mode)
        return self.conv_out(nn.relu(h), mode)

    def at(
        self, padded: Array, x: Float[Array, "n features"], row: Array, column: Array
    ) -> tuple[Float[Array, "n features"], Array]:
        """The residual at one pixel, from the stream there, and the padded input of the wide convolution."""
        h = nn.relu(_at_pixel(self.conv_in, nn.relu(x)))
        padded = self.conv.put(padded, h, row, column)
        h = nn.relu(self.conv.at(padded, row, column))
        return _at_pixel(self.conv_out, h), padded


def _at_pixel(conv: CausalConv, x: Float[Array, "n channels"]) -> Float[Array, "n features"]:
    """A convolution of kernel size 1 at one pixel."""
    return conv(x[:, None, None])[:, 0, 0]


class PixelCNN(SequentialConditioner):
    """Masked convolutional network from an image to the parameters of each of its elements.

    The image, with values around [-1, 1], goes through a convolution of type A, to which a trainable map of features
    and a linear function of the context are added, then through residual blocks and two convolutions of one pixel.

    Attributes:
      event_shape: (height, width, channels).
      features: features of the residual stream, a multiple of 2 * channels.
      num_blocks: residual blocks.
      kernel_size: width of the blocks' convolutions, odd; the first one is wider by 2.
      parameters_per_dim: parameters of one element; they start at zero.
    """

    event_shape: tuple[int, int, int]
    features: int
    num_blocks: int
    kernel_size: int
    parameters_per_dim: int

    @property
    def sequence(self) -> Array:
        """Raster order, channels last."""
        return jnp.arange(math.prod(self.event_shape))

    def setup(self):
        """The layers."""
        height, width, channels = self.event_shape
        self.conv_in = CausalConv(self.features, self.kernel_size + 2, channels, is_type_a=True)
        self.position = self.param("position", nn.initializers.zeros, (height, width, self.features))
        self.from_context = nn.Dense(self.features, use_bias=False)
        self.blocks = [ResidualBlock(self.features, self.kernel_size, channels) for _ in range(self.num_blocks)]
        self.hidden = CausalConv(self.features, 1, channels)
        self.out = CausalConv(self.parameters_per_dim * channels, 1, channels, starts_at_zero=True)

    def __call__(self, x, context=None, mode=EVALUATE):
        """Parameters of every element."""
        h = self.conv_in(x, mode) + self.position[None]
        if context is not None:
            h = h + self.from_context(context)[:, None, None]
        for block in self.blocks:
            h = h + block(h, mode)
        h = self.hidden(nn.relu(h), mode)
        return self.out(nn.relu(h), mode).reshape(*x.shape, self.parameters_per_dim)

    def start(self, n, dtype):
        """The padded inputs of the convolutions that are wider than a pixel."""
        height, width, channels = self.event_shape
        image = self.conv_in.start(n, height, width, channels, dtype)
        return (image, *(block.conv.start(n, height, width, self.features // 2, dtype) for block in self.blocks))

    def _place(self, k) -> tuple[Array, Array, Array]:
        _, width, channels = self.event_shape
        k = jnp.asarray(k)
        return k // (width * channels), k // channels % width, k % channels

    def parameters_of(self, state, k, context=None):
        """Parameters of the k-th element in order, and the state with its pixel in the blocks' inputs."""
        row, column, channel = self._place(k)
        image, *padded = state
        h = self.conv_in.at(image, row, column) + self.position[row, column][None]
        if context is not None:
            h = h + self.from_context(context)
        for i, block in enumerate(self.blocks):
            residual, padded[i] = block.at(padded[i], h, row, column)
            h = h + residual
        raw = _at_pixel(self.out, nn.relu(_at_pixel(self.hidden, nn.relu(h))))
        size = self.parameters_per_dim
        return jax.lax.dynamic_slice_in_dim(raw, channel * size, size, axis=1), (image, *padded)

    def put(self, state, k, value):
        """The state once the k-th element is known."""
        row, column, channel = self._place(k)
        (above, _), (left, _) = self.conv_in.padding
        image = state[0].at[:, row + above, column + left, channel].set(value)
        return (image, *state[1:])

    def event(self, state):
        """The images whose elements were put."""
        height, width, _ = self.event_shape
        (above, _), (left, _) = self.conv_in.padding
        return state[0][:, above : above + height, left : left + width]
