"""MADE: a masked multi-layer perceptron (Germain et al., Masked Autoencoder for Distribution Estimation, 2015).

Every unit has a degree: the k-th element in order (k = 1 ... D) has degree k, a hidden unit one in between. A weight
from a unit of degree a to one of degree b is zero unless

    a <= b    for hidden units,    a < b    for the outputs,

so at any depth the parameters of the k-th element depend on the first k - 1 elements alone, and on all of them if every
hidden layer has at least D - 1 units; with fewer, some elements do not see those just before them. Adding a hidden
layer's input to its output (a residual connection) keeps the degrees, and with them this property. All units and
outputs also see features of the context, computed by one hidden layer.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.mlp import ACTIVATIONS
from realnvp_jax.networks.sequential import VectorConditioner
from realnvp_jax.random import draw


def hidden_degrees(width: int, num_dims: int) -> tuple[int, ...]:
    """Degrees of hidden units: 1 ... D - 1 in order, each about equally often; 0 if D is 1."""
    lowest = min(1, num_dims - 1)
    return tuple((lowest + np.arange(width) * (num_dims - lowest) // width).tolist())


class MaskedDense(nn.Module):
    """x @ where(mask, kernel, 0) + context @ context_kernel + bias.

    Attributes:
      inputs: degree of every input.
      outputs: degree of every output.
      is_strict: whether an output sees only inputs of lower degree, or also those of equal degree.
      context_size: width of the context, 0 for none; every output sees it.
      starts_at_zero: whether the kernel starts at zero, rather than at N(0, 2 / number of inputs that an output sees).
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_strict: bool = False
    context_size: int = 0
    starts_at_zero: bool = False

    def setup(self):
        """Kernels and bias."""
        outputs = len(self.outputs)
        self.kernel = self.param("kernel", self._initial, (len(self.inputs), outputs))
        self.bias = self.param("bias", nn.initializers.zeros, (outputs,))
        if self.context_size:
            self.context_kernel = self.param("context_kernel", self._initial, (self.context_size, outputs))

    @property
    def _mask(self) -> Bool[np.ndarray, "inputs outputs"]:
        inputs, outputs = np.array(self.inputs)[:, None], np.array(self.outputs)[None]
        return inputs < outputs if self.is_strict else inputs <= outputs

    def _initial(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        dtype = jnp.result_type(float)
        if self.starts_at_zero:
            return jnp.zeros(shape, dtype)
        num_seen = self._mask.sum(axis=0, keepdims=True) + self.context_size
        deviations = jnp.asarray(np.sqrt(2 / np.maximum(num_seen, 1)), dtype)
        return deviations * draw(jax.random.normal, key, shape, dtype)

    def __call__(
        self,
        x: Float[Array, "n inputs"],
        context: Float[Array, "n context_size"] | None = None,
        block: Int[Array, ""] | None = None,
        block_size: int = 0,
    ) -> Float[Array, "n outputs"]:
        """All outputs, or only those of one block of `block_size` outputs; blocks are counted from 0."""

        def chosen(columns: Array) -> Array:
            if block is None:
                return columns
            return jax.lax.dynamic_slice_in_dim(columns, block * block_size, block_size, axis=1)

        y = x @ chosen(jnp.where(self._mask, self.kernel, 0)) + chosen(self.bias[None])
        return y if context is None else y + context @ chosen(self.context_kernel)


class MADE(VectorConditioner):
    """Masked perceptron from a vector to the parameters of each of its elements; with `hidden` = () it is linear.

    Attributes:
      residual: whether every hidden layer but the first adds its input, which requires equal widths.
    """

    residual: bool = False

    def setup(self):
        """The features of the context, and the masked layers, which all see them."""
        elements = tuple((np.argsort(self.order) + 1).tolist())
        degrees = [elements, *(hidden_degrees(width, len(self.order)) for width in self.hidden)]
        context_features = self.context_size
        if self.context_size and self.hidden:
            context_features = self.hidden[0]
            self.context_layer = nn.Dense(
                context_features, bias_init=nn.initializers.normal(1.0)
            )  # random biases, so that the kinks of the activations differ
        self.hidden_layers = [
            MaskedDense(degrees[i], degrees[i + 1], False, context_features) for i in range(len(self.hidden))
        ]
        outputs = tuple(np.repeat(elements, self.parameters_per_dim).tolist())
        self.out = MaskedDense(degrees[-1], outputs, True, context_features, starts_at_zero=True)

    def _raw(self, x, context, element: Int[Array, ""] | None = None) -> Array:
        """The outputs of all elements, or of one."""
        activation = ACTIVATIONS[self.activation]
        if context is not None and self.hidden:
            context = activation(self.context_layer(context))
        h = x
        for i, layer in enumerate(self.hidden_layers):
            y = layer(activation(h) if i else h, context)
            h = h + y if self.residual and i else y
        return self.out(activation(h) if self.hidden else h, context, element, self.parameters_per_dim)

    def __call__(self, x, context=None, mode=EVALUATE):
        """Parameters of every element."""
        return self._raw(x, context).reshape(*x.shape, self.parameters_per_dim)

    def parameters_of(self, state, k, context=None):
        """Parameters of the k-th element in order, and the state, which is the vector so far."""
        return self._raw(state, context, self.sequence[k]), state
