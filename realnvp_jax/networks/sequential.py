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

Memory = Any  # arrays


class SequentialConditioner(nn.Module):
    """Base class of the autoregressive conditioners. The memory is that of vectors: the elements known so far."""

    @property
    @abc.abstractmethod
    def sequence(self) -> Int[Array, " size"]:
        """Numbers of the elements of the flattened event, in their order."""

    @abc.abstractmethod
    def __call__(
        self,
        x: Float[Array, "n *event"],
        context: Float[Array, "n context_size"] | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "n *event parameters"]:
        """Parameters of every element; with `train`, gradients may have reverse mode only."""

    @abc.abstractmethod
    def parameters_of(
        self, memory: Memory, k: int | Int[Array, ""], context: Float[Array, "n context_size"] | None = None
    ) -> tuple[Float[Array, "n parameters"], Memory]:
        """Parameters of the k-th element in order, once those before it were put; and the memory."""

    def start(self, n: int, dtype: Any) -> Memory:
        """The memory of n events of which nothing is known."""
        return jnp.zeros((n, len(self.sequence)), dtype)

    def put(self, memory: Memory, k: int | Int[Array, ""], value: Float[Array, " n"]) -> Memory:
        """The memory once the k-th element is known."""
        return memory.at[:, self.sequence[k]].set(value)

    def event(self, memory: Memory) -> Float[Array, "n *event"]:
        """The events that were put."""
        return memory
