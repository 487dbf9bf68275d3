"""A conditioner of images: densely connected, gated convolutions.

    h_0 = conv3x3(input),    h_i = v sigmoid(g) with (v, g) = conv3x3(silu(conv1x1(silu([h_0, ..., h_{i-1}])))),

and the output is a 1x1 convolution of silu([h_0, ..., h_L]). Every layer sees the outputs of all layers before it
(Huang et al., Densely Connected Convolutional Networks, 2017); the gates are those of Flow++ (Ho et al., 2019), whose
attention between all positions may be one more such layer.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.attention import GatedAttention, check_heads
from realnvp_jax.networks.conditioner import Conditioner, image_inputs
from realnvp_jax.networks.convolution import convolve_in_mode
from realnvp_jax.networks.dropout import dropout
from realnvp_jax.random import draw
from realnvp_jax.registry import parameter, register

Stream = Float[Array, "n height width _"]
Weights = tuple[Array, Array]  # kernel [kh, kw, channels, features] and bias [features]

_SAVED = "output of a gated convolution"
_SAVE_NAMED = jax.checkpoint_policies.save_only_these_names(_SAVED)


def _he_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """N(0, 2 / fan-in)."""
    return np.sqrt(2 / np.prod(shape[:-1])) * draw(jax.random.normal, key, shape, jnp.result_type(float))


class GatedLayers(nn.Module):
    """The hidden layers. A training pass keeps the outputs of the convolutions, and recomputes activations and gates.

    Attributes:
      features: channels of every layer's output.
      num_layers: number of gated layers, L.
      dropout: fraction of the input of every wide convolution that is set to zero in training.
      dtype: dtype of the layers in training, float32 or bfloat16.
      prevent_cse: whether XLA must be kept from merging the recomputation with the forward pass: outside of loops.
    """

    features: int
    num_layers: int
    dropout: float = 0.0
    dtype: str = "float32"
    prevent_cse: bool = True

    @property
    def hidden_kernels(self) -> tuple[str, ...]:
        """All kernels except that of the first convolution."""
        return tuple(f"{kind}_{number}_kernel" for number in range(self.num_layers) for kind in ("narrow", "wide"))

    @nn.compact
    def __call__(self, x: Stream, mode: Mode) -> list[Stream]:
        """[h_0, ..., h_L]."""
        if mode.trains and self.dtype == "bfloat16":
            x = x.astype(jnp.bfloat16)
        found = [_convolve(self._weights("in", 3, x.shape[-1], self.features), x, mode)]
        for number in range(self.num_layers):
            narrow = self._weights(f"narrow_{number}", 1, (number + 1) * self.features, self.features)
            wide = self._weights(f"wide_{number}", 3, self.features, 2 * self.features)
            layer: Callable[..., Stream] = functools.partial(_gated_layer, mode.at(number), self.dropout)
            if mode.trains:
                layer = jax.checkpoint(layer, policy=_SAVE_NAMED, prevent_cse=self.prevent_cse)
            found.append(layer(found, narrow, wide))
        return found

    def _weights(self, name: str, size: int, channels: int, features: int) -> Weights:
        kernel = self.param(f"{name}_kernel", _he_normal, (size, size, channels, features))
        return kernel, self.param(f"{name}_bias", nn.initializers.zeros, (features,))


@register("conditioner", "gated_dense")
class GatedDense(Conditioner):
    """Densely connected, gated convolutions from the identity half of an image to the parameters of the other half.

    The output layer starts at zero, so that a coupling layer starts as the transform with its parameters at zero. The
    width is the same at every scale. The layers are always written out; `unroll` tells that the coupling layers are as
    well, so that XLA must be kept from merging the recomputation with the forward pass.
    """

    base_features: int = parameter(64, "channels of a conditioner's hidden layers at the first scale", at_least=1)
    num_blocks: int = parameter(8, "residual blocks, or densely connected layers, of every conditioner", at_least=1)
    attention_heads: int = parameter(
        0, "heads of an attention between all positions after the layers of gated_dense; 0 for none", at_least=0
    )
    dropout: float = parameter(0.0, "fraction of a conditioner's activations that training drops", at_least=0, below=1)
    dtype: str = parameter(
        "float32", "dtype of the conditioners in training; densities are float32", choices=("float32", "bfloat16")
    )
    unroll: bool = parameter(False, "write out the blocks instead of looping over them; compiling takes far longer")

    def __post_init__(self):
        super().__post_init__()
        if self.attention_heads:
            check_heads("attention_heads", self.attention_heads, self.base_features)

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform; a mask over cells and the context are further input channels."""
        if identity.ndim != 4:
            raise ValueError(
                f"expected images for the conditioner 'gated_dense'; got the shape {identity.shape}: use 'mlp'"
            )
        layers = GatedLayers(self.base_features, self.num_blocks, self.dropout, self.dtype, self.unroll, name="layers")
        hidden = layers(image_inputs(identity, cells, context), mode)
        if self.attention_heads:
            attention = GatedAttention(self.base_features, self.attention_heads, self.dropout, name="attention")
            hidden.append(attention(jnp.concatenate(hidden, axis=-1), mode.at(self.num_blocks)))
        channels = sum(h.shape[-1] for h in hidden)
        kernel = self.param("out_kernel", nn.initializers.zeros, (1, 1, channels, self.out_features))
        bias = self.param("out_bias", nn.initializers.zeros, (self.out_features,))
        if mode.trains:
            return jax.checkpoint(_output_for_training, prevent_cse=self.unroll)(hidden, kernel[0, 0], bias)
        return _convolve((kernel, bias), nn.silu(jnp.concatenate(hidden, axis=-1)), mode)


def _gated_layer(mode: Mode, rate: float, before: Sequence[Stream], narrow: Weights, wide: Weights) -> Stream:
    h = jnp.concatenate([nn.silu(h) for h in before], axis=-1)
    h = checkpoint_name(_convolve(narrow, h, mode), _SAVED)
    h = checkpoint_name(_convolve(wide, dropout(nn.silu(h), rate, mode), mode), _SAVED)
    value, gate = jnp.split(h, 2, axis=-1)
    return value * nn.sigmoid(gate)


def _output_for_training(hidden: Sequence[Stream], kernel: Array, bias: Array) -> Stream:
    h = nn.silu(jnp.concatenate(hidden, axis=-1))
    return _project(h.reshape(-1, h.shape[-1]), kernel, bias).reshape(*h.shape[:-1], -1)


@jax.custom_vjp
def _project(h: Array, kernel: Array, bias: Array) -> Array:
    """The product of h and the kernel, of factors in h's dtype and sums in the bias's, plus the bias."""
    dtype = jnp.promote_types(h.dtype, bias.dtype)
    return jnp.matmul(h, kernel.astype(h.dtype), preferred_element_type=dtype) + bias[None]


def _project_forward(h, kernel, bias):
    return _project(h, kernel, bias), (h, kernel, bias)


def _project_backward(residuals, g):
    """The gradients, from a cotangent that is computed once: fused into the sum for the bias, XLA's code is slow."""
    h, kernel, bias = residuals
    g = jax.lax.optimization_barrier(g.astype(h.dtype))
    kernel_gradient = jnp.matmul(h.T, g, preferred_element_type=kernel.dtype)
    return g @ kernel.T.astype(h.dtype), kernel_gradient, jnp.sum(g, axis=0, dtype=bias.dtype)


_project.defvjp(_project_forward, _project_backward)


def _convolve(weights: Weights, x: Stream, mode: Mode) -> Any:
    kernel, bias = weights
    y = convolve_in_mode(x, kernel, mode)
    return y + bias.astype(y.dtype).reshape(1, 1, 1, -1)
