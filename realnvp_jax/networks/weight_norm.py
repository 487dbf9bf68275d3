"""Convolutions with weight normalization (Salimans and Kingma, 2016).

kernel = gain * W / ||W||,    the norm taken over each output channel
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnvp_jax.mode import Mode
from realnvp_jax.networks.convolution import convolve_in_mode
from realnvp_jax.random import draw


def _weight_init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform with standard deviation proportional to sqrt(1 / fan-in channels); the norm takes its scale out again."""
    bound = np.sqrt(2 / shape[-2])
    return draw(jax.random.uniform, key, shape, minval=-bound, maxval=bound)


class WeightNormConv(nn.Module):
    """Convolution with SAME padding.

    Attributes:
      features: number of output channels.
      kernel_size: height and width of the kernel.
      use_bias: whether a bias is added.
      use_gain: whether a trainable gain multiplies the normalized weights; it starts at kernel_size / sqrt(6).
      bias_cancels: whether what follows subtracts the batch's mean. The bias then has no influence on training, and
        its gradient is exactly 0. Computed, it would be rounding noise, which Adam scales up to the learning rate;
        the running statistics do not follow that, so that results would depend on the number of devices.
    """

    features: int
    kernel_size: int
    use_bias: bool = True
    use_gain: bool = False
    bias_cancels: bool = False
    penalized = ("gain",)  # the parameters that carry the authors' L2 penalty

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width channels"], mode: Mode
    ) -> Float[Array, "n height width features"]:
        """Convolve."""
        size = self.kernel_size
        weights = self.param("weights", _weight_init, (size, size, x.shape[-1], self.features))
        kernel = weights * jax.lax.rsqrt(jnp.sum(jnp.square(weights), axis=(0, 1, 2), keepdims=True))
        if self.use_gain:
            gain = self.param("gain", nn.initializers.constant(size / np.sqrt(6)), (self.features,))
            kernel = kernel * gain.reshape(1, 1, 1, -1)
        y = convolve_in_mode(x, kernel, mode)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            bias = jax.lax.stop_gradient(bias) if self.bias_cancels and mode.trains else bias
            y = y + bias.astype(y.dtype).reshape(1, 1, 1, -1)
        return y
