"""Matrices as bijections of integers: shears, which need no bits, and a diagonal.

    P L U = P L V D,    V = U D^-1,    D = diag(U)

A shear with a unit triangular matrix adds to each channel a rounded combination of channels that have not been changed
yet, so that it can be undone. The combinations are sums of integers, without rounding errors.
"""

import numpy as np
from jaxtyping import Float, Int

from realnvp_jax.compression import grid
from realnvp_jax.compression.bits import BitStack

_COEFFICIENT_BITS = 24
_LARGEST_SUM = 2.0**62
_NEAR_ONE = 1e-12  # a diagonal this close to 1 needs no bits


class ExactMatrix:
    """z = x P L U on the last axis.

    Args:
      order: indices of the channels in their new order, which P is.
      lower: L, unit lower triangular.
      upper: U, upper triangular.
    """

    def __init__(
        self,
        order: Int[np.ndarray, " dims"],
        lower: Float[np.ndarray, "dims dims"],
        upper: Float[np.ndarray, "dims dims"],
    ):
        self._order = np.asarray(order)
        diagonal = np.diag(upper)
        self._lower = _coefficients(lower)
        self._upper = _coefficients(upper / np.where(diagonal == 0, 1, diagonal))
        self._signs = np.where(diagonal < 0, -1, 1)
        self._diagonal = np.abs(diagonal)

    def forward(self, bits: BitStack, x: grid.Integers, context: None = None) -> grid.Integers:
        """The product."""
        x = x[..., self._order]
        channels = range(x.shape[-1])
        for j in channels:
            x[..., j] += _combination(x[..., j + 1 :], self._lower[j + 1 :, j])
        for j in reversed(channels):
            x[..., j] += _combination(x[..., :j], self._upper[:j, j])
        if np.allclose(self._diagonal, 1, rtol=0, atol=_NEAR_ONE):
            return self._signs * x
        return self._signs * grid.forward(bits, x, self._edges)

    def inverse(self, bits: BitStack, z: grid.Integers, context: None = None) -> grid.Integers:
        """The solution of the linear system."""
        x = self._signs * z
        if not np.allclose(self._diagonal, 1, rtol=0, atol=_NEAR_ONE):
            x = grid.inverse(bits, x, self._edges, (x + 0.5) / self._diagonal)
        channels = range(x.shape[-1])
        for j in channels:
            x[..., j] -= _combination(x[..., :j], self._upper[:j, j])
        for j in reversed(channels):
            x[..., j] -= _combination(x[..., j + 1 :], self._lower[j + 1 :, j])
        return x[..., np.argsort(self._order)]

    def _edges(self, bins: grid.Integers) -> np.ndarray:
        return (bins << grid.BIN_BITS) * self._diagonal


def _coefficients(matrix: np.ndarray) -> np.ndarray:
    """The entries as multiples of 2^-24."""
    return np.rint(matrix * 2.0**_COEFFICIENT_BITS).astype(np.int64)


def _combination(x: grid.Integers, coefficients: np.ndarray) -> np.ndarray:
    """round(sum_i x_i a_i)."""
    size = np.abs(x).max(axis=-1, initial=0) * float(np.abs(coefficients).max(initial=0)) * len(coefficients)
    grid.check(size < _LARGEST_SUM)
    return (x @ coefficients + 2 ** (_COEFFICIENT_BITS - 1)) >> _COEFFICIENT_BITS
