"""Convolutions with weight normalisation (Salimans and Kingma, 2016).

    kernel = gain * W / ||W||,    the norm taken over each output channel

The kernels are functions of the parameters alone. `fold` makes those of a whole tree at once, in front of a loop
instead of inside of it, which compiles faster; it takes the memory of another copy of the parameters and of their
gradients.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnvp_jax.networks.convolution import convolve, convolve_for_training
from realnvp_jax.random import draw


def _weight_init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform with standard deviation proportional to sqrt(1 / fan-in channels); its scale is normalised away."""
    bound = np.sqrt(2 / shape[-2])
    return draw(jax.random.uniform, key, shape, minval=-bound, maxval=bound)


def _kernel(
    weights: Float[Array, "*stack kh kw channels features"], gain: Float[Array, "*stack features"] | None
) -> Float[Array, "*stack kh kw channels features"]:
    kernel = weights * jax.lax.rsqrt(jnp.sum(jnp.square(weights), axis=(-4, -3, -2), keepdims=True))
    return kernel if gain is None else kernel * gain[..., None, None, None, :]


def fold(params: Mapping[str, Any]) -> dict[str, Any]:
    """The tree with the kernel in the place of weights and gain of every `WeightNormConv`, stacked ones included."""
    if "weights" in params:
        rest = {name: leaf for name, leaf in params.items() if name not in ("weights", "gain")}
        return {"kernel": _kernel(params["weights"], params.get("gain")), **rest}
    return {name: fold(leaf) if isinstance(leaf, Mapping) else leaf for name, leaf in params.items()}


class WeightNormConv(nn.Module):
    """Convolution with SAME padding. Given folded parameters, it takes their kernel.

    Attributes:
      features: number of output channels.
      kernel_size: height and width of the kernel.
      use_bias: whether a bias is added.
      use_gain: whether a trainable gain multiplies the normalised weights; it starts at kernel_size / sqrt(6).
    """

    features: int
    kernel_size: int
    use_bias: bool = True
    use_gain: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width channels"], *, train: bool
    ) -> Float[Array, "n height width features"]:
        """Convolve."""
        kernel = self._kernel(x.shape[-1])
        dtype = x.dtype if x.dtype == jnp.bfloat16 else jnp.promote_types(x.dtype, kernel.dtype)
        y = (convolve_for_training if train else convolve)(x.astype(dtype), kernel.astype(dtype))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.astype(dtype).reshape(1, 1, 1, -1)
        return y

    def _kernel(self, channels: int) -> Float[Array, "kh kw channels features"]:
        if self.has_variable("params", "kernel"):
            return self.get_variable("params", "kernel")
        size = self.kernel_size
        weights = self.param("weights", _weight_init, (size, size, channels, self.features))
        if not self.use_gain:
            return _kernel(weights, None)
        return _kernel(weights, self.param("gain", nn.initializers.constant(size / np.sqrt(6)), (self.features,)))
