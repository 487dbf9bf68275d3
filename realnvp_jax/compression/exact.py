"""Bijections of integers in place of a flow's bijections.

`exact` turns a bijection and its variables into a map of integers (multiples of the step of `compression.grid`) with

    forward(bits, x, context) -> z        inverse(bits, z, context) -> x

which push to and pop from a stack of bits such that it grows by -log2 |det dz/dx| bits in `forward`, up to rounding.
`inverse` restores x and the stack to the bit.

There is a rule for each kind of bijection, in `compression.rules`. Your own bijection needs none if it declares
`is_elementwise` or `is_permutation`.
"""

import functools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.compression import grid
from realnvp_jax.compression.bits import BitStack

Integers = grid.Integers
Context = Any  # [n, *positions, width], or None


class ExactMap(Protocol):
    """A bijection of integers, which exchanges bits with a stack."""

    def forward(self, bits: BitStack, x: Integers, context: Context) -> Integers:
        """Data to latent."""
        ...

    def inverse(self, bits: BitStack, z: Integers, context: Context) -> Integers:
        """Latent to data."""
        ...


def padded_call(function: Callable, batch_size: int, *arguments: np.ndarray | None) -> np.ndarray:
    """The value of a compiled function of arrays [n, ...], which are padded to one size of batch.

    Both directions of a map evaluate the same compiled program, so that they get the same results to the bit.
    """
    count = next(len(argument) for argument in arguments if argument is not None)
    missing = batch_size - count

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.repeat(values[-1:], missing, axis=0)]) if missing else values

    return np.asarray(function(*jax.tree.map(padded, arguments)))[:count]


class Part:
    """A module with its variables, of which methods are evaluated in batches of one size.

    Args:
      module: the module, unbound.
      variables: its variables, in double precision.
      batch_size: number of examples of each evaluation.
      place: how it differs from other layers of its stack, or None.
    """

    def __init__(self, module: Any, variables: Any, batch_size: int, place: Any = None):
        self.module, self.variables, self.batch_size, self.place = module, variables, batch_size, place

    @property
    def bound(self) -> Any:
        """The module at its place, bound to its variables."""
        module = self.module if self.place is None else self.module.at(self.place)
        return module.bind(self.variables)

    def child(self, bound: Any, place: Any = None) -> ExactMap:
        """The exact map of a submodule of `bound`."""
        module, variables = bound.unbind()
        return exact(module, Part(module, variables, self.batch_size, place))

    def call(self, method: Callable, *arguments: np.ndarray | None) -> np.ndarray:
        """The value of a method, or of a function of the module, for a batch of arguments."""
        function = functools.partial(_call, self.module, method, self.variables, self.place)
        return padded_call(function, self.batch_size, *arguments)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _call(module: Any, method: Callable, variables: Any, place: Any, *arguments: Any) -> Any:
    module = module if place is None else module.at(place)
    with jax.default_matmul_precision("highest"):
        return module.apply(variables, *arguments, method=method)


@functools.singledispatch
def exact(module: Bijection, part: Part) -> ExactMap:
    """The exact map of a module, whose variables `part` holds.

    Raises:
      ValueError: there is no rule for this kind of module.
    """
    if getattr(module, "is_elementwise", False):
        return Elementwise(part, "forward", "inverse")
    if getattr(module, "is_permutation", False):
        return Rearrangement(part)
    raise ValueError(
        "expected bijections that compression knows: couplings, elementwise maps, permutations, 1x1 convolutions and "
        f"their compositions; got {type(module).__name__}"
    )


class Composition:
    """Maps in order."""

    def __init__(self, maps: list[ExactMap]):
        self._maps = maps

    def forward(self, bits, x, context):
        """Data to latent."""
        for each in self._maps:
            x = each.forward(bits, x, context)
        return x

    def inverse(self, bits, z, context):
        """Latent to data."""
        for each in reversed(self._maps):
            z = each.inverse(bits, z, context)
        return z


class Elementwise:
    """An elementwise, increasing map, by the names of its two methods.

    The methods take the values, what else they are given, and the context.
    """

    def __init__(self, part: Part, forward: str, inverse: str):
        self._part, self._forward, self._inverse = part, forward, inverse

    def forward(self, bits: BitStack, x: Integers, context: Context, *given: np.ndarray) -> Integers:
        """Data to latent."""
        return grid.forward(bits, x, self._edges(*given, context))

    def inverse(self, bits: BitStack, z: Integers, context: Context, *given: np.ndarray) -> Integers:
        """Latent to data."""
        guess = self._part.call(_value_of(self._inverse), (z + 0.5) * grid.STEP, *given, context) / grid.STEP
        return grid.inverse(bits, z, self._edges(*given, context), guess)

    def _edges(self, *given: Any) -> grid.Edges:
        def edges(bins: Integers) -> np.ndarray:
            values = (bins << grid.BIN_BITS) * grid.STEP
            return self._part.call(_value_of(self._forward), values, *given) / grid.STEP

        return edges


@functools.cache
def _value_of(method: str) -> Callable:
    """The method without its log-determinant."""
    return lambda module, *arguments: getattr(module, method)(*arguments)[0]


class Rearrangement:
    """A permutation of the elements of each example."""

    def __init__(self, part: Part):
        self._part = part

    def forward(self, bits, x, context):
        """Data to latent."""
        return self._moved("forward", x)

    def inverse(self, bits, z, context):
        """Latent to data."""
        return self._moved("inverse", z)

    def _moved(self, method: str, values: Integers) -> Integers:
        return self._part.call(_value_of(method), values.astype(np.float64)).astype(np.int64)
