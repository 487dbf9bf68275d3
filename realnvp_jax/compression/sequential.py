"""Arithmetic coding of images by an autoregressive flow, element by element.

The probability of a value is the mass that the flow gives to its interval, with the tails in the outermost two,

    P(x_k = v | x_1 ... x_{k-1}) = F(v + 1) - F(v),    F the CDF given y_j = x_j + 1/2, j < k,

without dequantization and bits back. The decoder computes the parameters of one element at a time. So does the encoder,
by the same compiled program, so that both get the same probabilities. The stack is filled from the last element on.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Int

from realnvp_jax.base import Logistic, Normal, Uniform
from realnvp_jax.compression.bits import BitStack, Table
from realnvp_jax.models.inputs import check_discrete

_CDFS = {Uniform: lambda z: z, Normal: ndtr, Logistic: jax.nn.sigmoid}
_TOTAL = 2.0**22  # what the frequencies of all values add up to, about


class Sequential:
    """Codes images of an autoregressive flow, up to a batch at a time.

    Args:
      flow: a flow of discrete data whose bijection is `Autoregressive`.
      variables: its parameters in double precision.
      batch_size: largest number of images that are coded together.

    Raises:
      ValueError: the base distribution has no CDF here.
    """

    takes_bits = False

    def __init__(self, flow: Any, variables: Any, batch_size: int):
        if type(flow.base) not in _CDFS:
            raise ValueError(f"expected a uniform, normal or logistic base; got {type(flow.base).__name__}")
        self._flow, self._batch_size = flow, batch_size
        self._order = np.asarray(flow.bijection.conditioner.sequence)
        self._start = _start(flow, batch_size, variables)
        self._frequencies = functools.partial(_frequencies, flow, variables)
        self._put = functools.partial(_put, flow, variables)

    def encode(self, bits: BitStack, x: Int[np.ndarray, "n *event"], context: Any) -> None:
        """Push images."""
        elements = x.reshape(len(x), -1)[:, self._order]
        state, context, found = self._start, self._padded(context), []
        for k in range(len(self._order)):
            frequencies, state = self._frequencies(state, k, context)
            found.append(np.asarray(frequencies, np.float32)[: len(x)])  # they are integers below 2^23
            state = self._put(state, k, self._padded(elements[:, k]))
        for k in reversed(range(len(self._order))):
            bits.push_symbols(elements[:, k], Table(found[k]))

    def decode(self, bits: BitStack, num: int, context: Any) -> Int[np.ndarray, "n *event"]:
        """Pop images."""
        x = np.zeros((num, len(self._order)), np.int64)
        state, context = self._start, self._padded(context)
        for k, place in enumerate(self._order):
            frequencies, state = self._frequencies(state, k, context)
            x[:, place] = bits.pop_symbols((num,), Table(np.asarray(frequencies)[:num]))
            state = self._put(state, k, self._padded(x[:, place]))
        return x.reshape(num, *self._flow.event_shape)

    def _padded(self, values: Any) -> Any:
        if values is None:
            return None
        return np.concatenate([values, np.repeat(values[-1:], self._batch_size - len(values), axis=0)])


@functools.partial(jax.jit, static_argnums=0)
def _frequencies(flow: Any, variables: Any, state: Any, k: Any, context: Any) -> Any:
    """(integers in proportion to the probabilities of the k-th element's values [n, levels], the state)."""
    levels = check_discrete(flow.levels)
    edges, _ = flow.preprocessing.forward(jnp.arange(1.0, levels))

    def cdf(bijection):
        raw, changed = bijection.conditioner.parameters_of(state, k, context)
        each = jnp.broadcast_to(edges, (raw.shape[0], levels - 1))
        z, _ = bijection.transform.forward(each, jnp.tile(raw, (1, levels - 1)))
        return _CDFS[type(flow.base)](z), changed

    with jax.default_matmul_precision("highest"):
        below, changed = flow.bijection.apply(variables, method=cdf)
    below = jnp.pad(below, ((0, 0), (1, 0)))
    mass = jnp.diff(below, axis=1, append=jnp.ones_like(below[:, :1]))
    return jnp.floor(mass * _TOTAL) + 1, changed


@functools.partial(jax.jit, static_argnums=0)
def _put(flow: Any, variables: Any, state: Any, k: Any, values: Any) -> Any:
    """The state with the k-th element known."""
    y, _ = flow.preprocessing.forward(values + 0.5)
    return flow.bijection.apply(variables, method=lambda bijection: bijection.conditioner.put(state, k, y))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _start(flow: Any, batch_size: int, variables: Any) -> Any:
    """The state before the first element."""
    dtype = jnp.result_type(float)
    return flow.bijection.apply(variables, method=lambda bijection: bijection.conditioner.start(batch_size, dtype))
