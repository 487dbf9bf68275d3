"""What an autoregressive bijection asks of its conditioner.

The elements of an event have an order. The parameters of each are a function of the elements before it, and of the
context. `__call__` computes those of all elements at once, from a whole event. One element at a time, in order,

    memory = conditioner.start(n, dtype)
    for k in range(size):
        parameters, memory = conditioner.parameters_of(memory, k, context)
        memory = conditioner.put(memory, k, <the value of the k-th element>)
    x = conditioner.event(memory)

gives the same parameters. k may be an index that is known at run time only.
"""

import abc
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.mlp import ACTIVATIONS
from realnvp_jax.registry import check_parameters, parameter

Memory = Any  # arrays


class SequentialConditioner(nn.Module):
    """Base class of the autoregressive conditioners."""

    @property
    @abc.abstractmethod
    def sequence(self) -> Int[Array, " size"]:
        """Numbers of the elements of the flattened event, in their order."""

    @abc.abstractmethod
    def __call__(
        self,
        x: Float[Array, "n *event"],
        context: Float[Array, "n context_size"] | None = None,
        mode: Mode = EVALUATE,
    ) -> Float[Array, "n *event parameters"]:
        """Parameters of every element; in training, gradients may have reverse mode only."""

    @abc.abstractmethod
    def parameters_of(
        self, memory: Memory, k: int | Int[Array, ""], context: Float[Array, "n context_size"] | None = None
    ) -> tuple[Float[Array, "n parameters"], Memory]:
        """Parameters of the k-th element in order, once those before it were put; and the memory."""

    @abc.abstractmethod
    def start(self, n: int, dtype: Any) -> Memory:
        """The memory of n events of which nothing is known."""

    @abc.abstractmethod
    def put(self, memory: Memory, k: int | Int[Array, ""], value: Float[Array, " n"]) -> Memory:
        """The memory once the k-th element is known."""

    @abc.abstractmethod
    def event(self, memory: Memory) -> Float[Array, "n *event"]:
        """The events that were put."""


class VectorConditioner(SequentialConditioner):
    """Base class of the conditioners of vectors. The memory is the vector, zero where nothing was put yet.

    Attributes:
      order: numbers of the elements in their order: order[0] is conditioned on nothing, order[-1] on all others.
      hidden: widths of the hidden layers.
      parameters_per_dim: parameters of one element; they start at zero.
      context_size: width of the context, 0 for none.
      activation: behind every hidden layer: relu, tanh, silu or gelu.
    """

    order: tuple[int, ...]
    hidden: tuple[int, ...]
    parameters_per_dim: int
    context_size: int = 0
    activation: str = parameter("relu", "behind every hidden layer", choices=tuple(ACTIVATIONS))

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    @property
    def sequence(self) -> Int[Array, " dims"]:
        """`order`."""
        return jnp.asarray(self.order, jnp.int32)

    def start(self, n, dtype):
        """Vectors of zeros."""
        return jnp.zeros((n, len(self.order)), dtype)

    def put(self, memory, k, value):
        """The vectors with the k-th element in order set."""
        return memory.at[:, self.sequence[k]].set(value)

    def event(self, memory):
        """The vectors."""
        return memory
