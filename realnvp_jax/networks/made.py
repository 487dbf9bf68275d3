"""MADE: a masked multi-layer perceptron (Germain et al., Masked Autoencoder for Distribution Estimation, 2015).

Every unit has a degree: the k-th element in order (k = 1 ... D) has degree k, a hidden unit one in between. A weight
from a unit of degree a to one of degree b is zero unless

    a <= b    for hidden units,    a < b    for the outputs,

so the parameters of the k-th element depend on the first k - 1 elements only, exactly, at any depth; adding a hidden
layer's input to its output (a residual connection) keeps degrees, and with them the property. Units of degree 0 depend
on the context alone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from realnvp_jax.networks.mlp import ACTIVATIONS
from realnvp_jax.networks.sequential import SequentialConditioner
from realnvp_jax.random import draw


def hidden_degrees(width: int, num_dims: int, lowest: int) -> tuple[int, ...]:
    """Degrees of hidden units, spread evenly over lowest ... D - 1."""
    return tuple(np.round(np.linspace(lowest, num_dims - 1, width)).astype(int).tolist())


class MaskedDense(nn.Module):
    """x @ where(mask, kernel, 0) + context @ context_kernel + bias.

    Attributes:
      inputs: degree of every input.
      outputs: degree of every output.
      is_strict: whether an output sees the inputs of lower degree only, or of equal degree too.
      context_size: width of the context, 0 for none; it is seen by every output.
      starts_at_zero: whether the kernel starts at zero, else at N(0, 2 / number of inputs that an output sees).
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
        """All outputs, or the `block_size` ones of a block, counted from 0."""

        def chosen(columns: Array) -> Array:
            if block is None:
                return columns
            return jax.lax.dynamic_slice_in_dim(columns, block * block_size, block_size, axis=1)

        y = x @ chosen(jnp.where(self._mask, self.kernel, 0)) + chosen(self.bias[None])
        return y if context is None else y + context @ chosen(self.context_kernel)


class MADE(SequentialConditioner):
    """Masked perceptron from a vector to the parameters of each of its elements.

    Attributes:
      order: numbers of the elements in their order: order[0] is conditioned on nothing, order[-1] on all others.
      hidden: widths of the hidden layers; () is a linear map.
      parameters_per_dim: parameters of one element; they start at zero.
      context_size: width of the context, 0 for none.
      activation: behind every hidden layer: relu, tanh, silu or gelu.
      residual: whether every hidden layer but the first adds its input; the widths are then equal.
    """

    order: tuple[int, ...]
    hidden: tuple[int, ...]
    parameters_per_dim: int
    context_size: int = 0
    activation: str = "relu"
    residual: bool = False

    @property
    def sequence(self) -> Int[Array, " dims"]:
        """`order`."""
        return jnp.asarray(self.order, jnp.int32)

    def setup(self):
        """The layers; the first one sees the context."""
        num_dims = len(self.order)
        lowest = 0 if self.context_size or num_dims == 1 else 1
        elements = tuple((np.argsort(self.order) + 1).tolist())
        hidden = [hidden_degrees(width, num_dims, lowest) for width in self.hidden]
        degrees = [elements, *hidden]
        contexts = [self.context_size] + [0] * len(hidden)
        self.hidden_layers = [MaskedDense(degrees[i], degrees[i + 1], False, contexts[i]) for i in range(len(hidden))]
        outputs = tuple(np.repeat(elements, self.parameters_per_dim).tolist())
        self.out = MaskedDense(degrees[-1], outputs, True, contexts[-1], starts_at_zero=True)

    def _raw(self, x, context, element: Int[Array, ""] | None = None) -> Array:
        """The outputs of all elements, or of one."""
        activation = ACTIVATIONS[self.activation]
        h = x
        for i, layer in enumerate(self.hidden_layers):
            y = layer(h, context) if i == 0 else layer(activation(h))
            h = h + y if self.residual and i > 0 else y
        if not self.hidden_layers:
            return self.out(h, context, element, self.parameters_per_dim)
        return self.out(activation(h), None, element, self.parameters_per_dim)

    def __call__(self, x, context=None, *, train=False):
        """Parameters of every element."""
        return self._raw(x, context).reshape(*x.shape, self.parameters_per_dim)

    def parameters_of(self, memory, k, context=None):
        """Parameters of the k-th element in order, and the memory, which is the vector so far."""
        return self._raw(memory, context, self.sequence[k]), memory
