"""A stack of bits that codes symbols at their information content: asymmetric numeral systems (Duda, 2009).

Pushing a symbol of probability p adds -log2 p bits. Popping a symbol from random bits draws it with its probability,
and removes as many bits; pushing it again restores the stack to the bit. This symmetry is what bits-back coding needs.
The arithmetic is that of the package constriction, in integers.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt32

LARGEST_SIZE = 2**24 - 1  # of a uniform distribution, in constriction


def constriction() -> Any:
    """The package constriction.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import constriction
    except ImportError:
        raise ValueError(
            "expected the package constriction, which compression needs; got none: pip install 'realnvp-jax[compress]'"
        ) from None
    return constriction


class Table:
    """A distribution of the symbols 0, 1, ...; each has a probability of at least 2^-24.

    Args:
      weights: weights in proportion to the probabilities, [symbols], or a row for each symbol that is coded.
    """

    def __init__(self, weights: Float[np.ndarray, "*rows symbols"]):
        categorical = constriction().stream.model.Categorical
        weights = np.ascontiguousarray(weights, np.float64)
        self.model = categorical(weights, perfect=False) if weights.ndim == 1 else categorical(perfect=False)
        self.rows = () if weights.ndim == 1 else (weights,)


class BitStack:
    """A stack of bits. An empty stack can be popped as well: it gives zeros, which cost nothing."""

    def __init__(self, words: UInt32[np.ndarray, " words"] | None = None):
        stream = constriction().stream
        self._uniform = stream.model.Uniform()
        empty = words is None or not len(words)
        self._coder = stream.stack.AnsCoder() if empty else stream.stack.AnsCoder(np.asarray(words, np.uint32))
        self._start = self._fewest = self.size

    @property
    def size(self) -> int:
        """Number of bits."""
        return self._coder.num_valid_bits()

    @property
    def dip(self) -> int:
        """By how many bits the stack has been smaller than at first, at most."""
        return self._start - self._fewest

    def words(self) -> UInt32[np.ndarray, " words"]:
        """The content, from which the constructor makes an equal stack."""
        return self._coder.get_compressed()

    def copy(self) -> "BitStack":
        """An independent stack with the same content."""
        return BitStack(self.words())

    def push(self, values: Int[np.ndarray, "*n"], sizes: int | Int[np.ndarray, "*n"]) -> None:
        """Push values that are uniform on {0, ..., size - 1}."""
        values, sizes, varies = _flat(values, sizes)
        if varies.any():
            self._coder.encode_reverse(values[varies].astype(np.int32), self._uniform, sizes[varies].astype(np.int32))

    def pop(self, sizes: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
        """Pop values that are uniform on {0, ..., size - 1}."""
        values, flat, varies = _flat(np.zeros_like(sizes), sizes)
        if varies.any():
            values[varies] = self._coder.decode(self._uniform, flat[varies].astype(np.int32))
        self._note()
        return values.reshape(sizes.shape)

    def push_symbols(self, symbols: Int[np.ndarray, "*n"], table: Table) -> None:
        """Push symbols of a table."""
        self._coder.encode_reverse(symbols.ravel().astype(np.int32), table.model, *table.rows)

    def pop_symbols(self, shape: tuple[int, ...], table: Table) -> Int[np.ndarray, "..."]:
        """Pop symbols of a table."""
        symbols = self._coder.decode(table.model, *(table.rows or (int(np.prod(shape)),)))
        self._note()
        return np.asarray(symbols, np.int64).reshape(shape)

    def _note(self) -> None:
        self._fewest = min(self._fewest, self.size)


def _flat(values: np.ndarray, sizes: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, sizes, where there is more than one possible value), flattened."""
    sizes = np.broadcast_to(np.asarray(sizes, np.int64), values.shape).ravel()
    return values.ravel().astype(np.int64), sizes, sizes > 1
