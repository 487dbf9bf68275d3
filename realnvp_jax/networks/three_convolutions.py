"""Glow's conditioner of images (Kingma and Dhariwal, 2018): three convolutions.

    relu(normalize(conv3x3)),  relu(normalize(conv1x1)),  conv3x3

The normalization is that of the whole model.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from realnvp_jax.copies import fresh_copy
from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.conditioner import Conditioner, image_inputs
from realnvp_jax.networks.convolution import convolve_in_mode
from realnvp_jax.networks.normalized import NormalizedInput
from realnvp_jax.random import draw
from realnvp_jax.registry import parameter, register


@register("conditioner", "three_convolutions")
class ThreeConvolutions(Conditioner):
    """Three convolutions from the identity half of an image to the parameters of the other half.

    The width is the same at every scale. The last convolution starts at zero, so that a coupling layer starts as the
    transform with its parameters at zero.
    """

    base_features: int = parameter(64, "channels of a conditioner's hidden layers at the first scale", at_least=1)
    dtype: str = parameter(
        "float32", "dtype of the conditioners in training; densities are float32", choices=("float32", "bfloat16")
    )
    hidden_kernels = ("kernel_1",)

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform; a mask over cells and the context are further input channels."""
        if identity.ndim != 4:
            raise ValueError(
                f"expected images for the conditioner 'three_convolutions'; got the shape {identity.shape}: use 'mlp'"
            )
        h = image_inputs(identity, cells, context)
        if mode.trains and self.dtype == "bfloat16":
            h = h.astype(jnp.bfloat16)
        for number, size in enumerate((3, 1)):
            h = self._convolve(number, h, size, self.base_features, mode)
            h = nn.relu(NormalizedInput(fresh_copy(self.normalization), name=f"normalize_{number}")(h, mode))
        y = self._convolve(2, h.astype(identity.dtype), 3, self.out_features, mode)  # not in bfloat16
        return y + self.param("bias", nn.initializers.zeros, (self.out_features,)).reshape(1, 1, 1, -1)

    def _convolve(self, number: int, x, size: int, features: int, mode):
        initial = nn.initializers.zeros if number == 2 else _small
        kernel = self.param(f"kernel_{number}", initial, (size, size, x.shape[-1], features))
        return convolve_in_mode(x, kernel, mode)


def _small(key, shape):
    """N(0, 0.05^2), as in the authors' code."""
    return 0.05 * draw(jax.random.normal, key, shape, jnp.result_type(float))
