"""What an autoregressive bijection requires of its conditioner.

The elements of an event have an order. The parameters of each are a function of the elements before it, and of the
context. `__call__` computes the parameters of all elements at once, from a whole event. One element at a time,

    state = conditioner.start(n, dtype)
    for k in range(size):
        parameters, state = conditioner.parameters_of(state, k, context)
        state = conditioner.put(state, k, <the value of the k-th element>)
    x = conditioner.event(state)

gives the same parameters. The index k may be known only at run time.
"""

import abc
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.mlp import ACTIVATIONS
from realnvp_jax.registry import check_parameters, parameter

State = Any  # arrays


class SequentialConditioner(nn.Module):
    """Base class of the autoregressive conditioners."""

    @property
    @abc.abstractmethod
    def sequence(self) -> Int[Array, " size"]:
        """Indices of the elements of the flattened event, in their order."""

    @abc.abstractmethod
    def __call__(
        self,
        x: Float[Array, "n *event"],
        context: Float[Array, "n context_size"] | None = None,
        mode: Mode = EVALUATE,
    ) -> Float[Array, "n *event parameters"]:
        """Parameters of every element; in training, only reverse-mode gradients need to work."""

    @abc.abstractmethod
    def parameters_of(
        self, state: State, k: int | Int[Array, ""], context: Float[Array, "n context_size"] | None = None
    ) -> tuple[Float[Array, "n parameters"], State]:
        """Parameters of the k-th element in order, given that the previous ones have been put; and the state."""

    @abc.abstractmethod
    def start(self, n: Any, dtype: Any) -> State:
        """The state of n events that are still unknown."""

    @abc.abstractmethod
    def put(self, state: State, k: int | Int[Array, ""], value: Float[Array, " n"]) -> State:
        """The state once the k-th element is known."""

    @abc.abstractmethod
    def event(self, state: State) -> Float[Array, "n *event"]:
        """The events whose elements were put."""


class VectorConditioner(SequentialConditioner):
    """Base class of the conditioners of vectors. The state is the vector, with zeros for unknown elements.

    Attributes:
      order: indices of the elements in their order: order[0] is conditioned on nothing, order[-1] on all others.
      hidden: widths of the hidden layers.
      parameters_per_dim: parameters of one element; they start at zero.
      context_size: width of the context, 0 for none.
      activation: activation after every hidden layer: relu, tanh, silu or gelu.
    """

    order: tuple[int, ...]
    hidden: tuple[int, ...]
    parameters_per_dim: int
    context_size: int = 0
    activation: str = parameter("relu", "activation after every hidden layer", choices=tuple(ACTIVATIONS))

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

    def put(self, state, k, value):
        """The vectors with the k-th element in order set."""
        return state.at[:, self.sequence[k]].set(value)

    def event(self, state):
        """The vectors."""
        return state
