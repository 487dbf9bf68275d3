"""Between pixels and the grid: dequantization by bits from the stack, and the flow's preprocessing.

Dequantization makes y = x + u of pixels x by popping u, of which as many bits come back when it is pushed again. The
grid of y is finer for a learned dequantizer, whose density is not constant within a pixel. The preprocessing then takes
bins of 1/256 of a pixel, or larger ones of more than 256 levels, to the common grid.
"""

import functools
from typing import Any, Protocol

import jax
import numpy as np

from realnvp_jax.base import Logistic
from realnvp_jax.bijections.squeeze import Squeeze
from realnvp_jax.compression import grid
from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.exact import Part, exact, padded_call
from realnvp_jax.compression.latents import Latents
from realnvp_jax.models.dequantizers import UniformDequantizer, VariationalDequantizer
from realnvp_jax.models.dequantizers.variational import couplings_of

_MOST_BINS_BITS = 8  # of the bins in a pixel
_LEVELS_AND_BINS_BITS = 16  # with more, a bin would be smaller than the steps of the common grid
_UNIFORM_BITS, _LEARNED_BITS = 12, 20  # of the steps of y in a pixel
_NOISE_BIN_BITS = grid.STEP_BITS - 4  # bins of 1/16 of the logit of a learned u
_LARGEST_NOISE_BIN = 32 * 16  # the logit of u lies between -32 and 32
_LARGEST_NOISE = 16  # before the couplings


class ExactDequantizer(Protocol):
    """Draws y = x + u with floor(y) = x by bits from the stack."""

    step_bits: int  # log2 of the number of steps of y in a pixel

    def forward(self, bits: BitStack, x: grid.Integers, context: Any) -> grid.Integers:
        """Pixels x to y, in steps."""
        ...

    def inverse(self, bits: BitStack, y: grid.Integers, context: Any) -> grid.Integers:
        """The pixels of y; the bits of u go back to the stack."""
        ...


class _Uniform:
    """Uniform noise."""

    step_bits = _UNIFORM_BITS

    def forward(self, bits, x, context):
        return (x << _UNIFORM_BITS) + bits.pop(np.full_like(x, 2**_UNIFORM_BITS))

    def inverse(self, bits, y, context):
        x = y >> _UNIFORM_BITS
        bits.push(y - (x << _UNIFORM_BITS), 2**_UNIFORM_BITS)
        return x


class _Variational:
    """Logistic noise through couplings that see the pixels, then through the logistic function."""

    step_bits = _LEARNED_BITS

    def __init__(self, dequantizer: VariationalDequantizer, variables: Any, event_shape: Any, batch_size: int):
        self._part = Part(dequantizer, variables, batch_size)
        module = couplings_of(dequantizer, 4 * event_shape[-1]).clone(name=None)
        of_couplings = {name: {"layer": tree["Coupling_0"]} for name, tree in variables.items() if "Coupling_0" in tree}
        self._couplings = exact(module, Part(module, of_couplings, batch_size))
        self._squeeze = exact(Squeeze(), Part(Squeeze(), {}, batch_size))
        self._noise = Latents(Logistic(), _LARGEST_NOISE)

    def forward(self, bits, x, context):
        noise = self._squeeze.forward(bits, self._noise.pop(bits, x.shape), None)
        noise = self._couplings.forward(bits, noise, self._features(x, context))
        noise = self._squeeze.inverse(bits, noise, None)
        grid.check(np.abs(noise) < _LARGEST_NOISE_BIN << _NOISE_BIN_BITS)
        return (x << _LEARNED_BITS) + grid.forward(bits, noise, _logistic_edges, _NOISE_BIN_BITS)

    def inverse(self, bits, y, context):
        x = y >> _LEARNED_BITS
        u = y - (x << _LEARNED_BITS)
        all_bins = np.arange(-_LARGEST_NOISE_BIN, _LARGEST_NOISE_BIN + 1)
        bins = all_bins[np.searchsorted(_logistic_edges(all_bins), u, side="right") - 1]
        noise = grid.inverse(bits, u, _logistic_edges, (bins + 0.5) * 2**_NOISE_BIN_BITS, _NOISE_BIN_BITS)
        noise = self._squeeze.forward(bits, noise, None)
        noise = self._couplings.inverse(bits, noise, self._features(x, context))
        self._noise.push(bits, self._squeeze.inverse(bits, noise, None))
        return x

    def _features(self, x: grid.Integers, context: Any) -> np.ndarray:
        return self._part.call(_features, x.astype(np.float64), context)


def _features(dequantizer, pixels, context):
    return dequantizer.conditioned(pixels, context)[0]


def _logistic_edges(bins: grid.Integers) -> np.ndarray:
    """The logistic function in steps of u, of which each bin gets at least one."""
    free = 2**_LEARNED_BITS - 2 * _LARGEST_NOISE_BIN
    logits = bins / 2.0 ** (grid.STEP_BITS - _NOISE_BIN_BITS)
    steps = np.floor(free / (1 + np.exp(-logits))) + bins + _LARGEST_NOISE_BIN
    return np.where(np.abs(bins) <= _LARGEST_NOISE_BIN, steps, np.where(bins < 0, -np.inf, np.inf))


def exact_dequantizer(flow: Any, variables: Any, batch_size: int) -> ExactDequantizer:
    """The counterpart of a flow's dequantizer, with its own variables.

    Raises:
      ValueError: it is neither uniform nor variational.
    """
    if type(flow.dequantizer) is UniformDequantizer:
        return _Uniform()
    if type(flow.dequantizer) is VariationalDequantizer:
        return _Variational(flow.dequantizer, variables, flow.event_shape, batch_size)
    raise ValueError(
        f"expected a uniform or variational dequantizer, which compression knows; got {type(flow.dequantizer).__name__}"
    )


class ExactPreprocessing:
    """A flow's preprocessing, from the steps of y to those of the common grid."""

    def __init__(self, preprocessing: Any, levels: int, step_bits: int, batch_size: int):
        self._bins_bits = max(0, min(_MOST_BINS_BITS, _LEVELS_AND_BINS_BITS - (levels - 1).bit_length()))
        self._step, self._bin_bits = 2.0**-step_bits, step_bits - self._bins_bits
        self._preprocessing, self._batch_size = preprocessing, batch_size

    def forward(self, bits: BitStack, y: grid.Integers) -> grid.Integers:
        """To the bijection's input."""
        return grid.forward(bits, y, self._edges, self._bin_bits)

    def inverse(self, bits: BitStack, z: grid.Integers) -> grid.Integers:
        """The inverse of `forward`."""
        inverse = functools.partial(_preprocessed_back, self._preprocessing)
        guess = padded_call(inverse, self._batch_size, (z + 0.5) * grid.STEP) / self._step
        return grid.inverse(bits, z, self._edges, guess, self._bin_bits)

    def _edges(self, bins: grid.Integers) -> np.ndarray:
        values = (bins << self._bin_bits) * self._step
        forward = functools.partial(_preprocessed, self._preprocessing, self._bins_bits)
        return padded_call(forward, self._batch_size, values) / grid.STEP


@functools.partial(jax.jit, static_argnums=(0, 1))
def _preprocessed(preprocessing: Any, bins_bits: int, x: Any) -> Any:
    low, high = preprocessing.support
    margin = 2.0 ** -(bins_bits + 1)  # the support may be open
    return preprocessing.forward(x.clip(low + margin, high - margin))[0]


@functools.partial(jax.jit, static_argnums=0)
def _preprocessed_back(preprocessing: Any, y: Any) -> Any:
    return preprocessing.inverse(y)[0]
