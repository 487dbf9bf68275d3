"""Mean and standard deviation per channel: what batch normalization and ActNorm normalize by.

    batch_norm    those of the batch in training, running ones otherwise (Ioffe and Szegedy, 2015)
    act_norm      trainable ones, initialized from a batch (Kingma and Dhariwal, Glow, 2018)
    none          no normalization

A part of the kind "normalization" provides the statistics. `bijections.normalization` turns it into a bijection,
`networks.normalized` into a layer of a network.
"""

import abc
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.registry import check_parameters, parameter, register

STANDARDIZATION = "standardization"  # the collection of statistics that are set once and not trained
USED_STATISTICS = "used_statistics"  # the collection of the statistics that a training pass normalized by

# (mean, log of the standard deviation), both of shape [1, ..., 1, channels], or [1, ..., 1] if all channels share them
Statistics = tuple[Array, Array]
Cells = Bool[Array, "1 height width 1"] | None  # True = identity half


class Normalization(nn.Module):
    """Base class of the parts of the kind "normalization"."""

    learns_mean = False  # whether the mean is trainable, so that a network needs no offset after it
    removes_offset = False  # whether a transform before it, such as `Affine`, needs no trainable offset
    subtracts_batch_mean = False  # whether a constant added to x has no effect at all in training, nor a gradient
    is_identity = False

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "n *positions channels"], cells: Cells = None, mode: Mode = EVALUATE
    ) -> Statistics:
        """The statistics that x is normalized by.

        Args:
          x: the values.
          cells: with a mask over the cells of an image, True in the identity half, where x is zero.
          mode: mode of the pass.
        """

    def note_used(self, **statistics: jax.Array) -> None:
        """Note what a training pass normalized by, [n] for n channels, under the names that "batch_stats" has for it.

        A part whose inverse uses other statistics than its training pass must call this: memory="invert" inverts the
        pass with the noted values in place of the running ones.
        """
        if self.is_mutable_collection(USED_STATISTICS):
            for name, value in statistics.items():
                self.put_variable(USED_STATISTICS, name, jax.lax.stop_gradient(value))


@register("normalization", "none")
class NoNormalization(Normalization):
    """No normalization: mean 0, standard deviation 1."""

    is_identity = True

    def __call__(self, x, cells=None, mode=EVALUATE):
        """(0, 0)."""
        zeros = jnp.zeros((1,) * x.ndim, x.dtype)
        return zeros, zeros


@register("normalization", "batch_norm")
class BatchNorm(Normalization):
    """The statistics of the batch in training, and running statistics otherwise, without gain or offset.

    The running statistics live in the collection "batch_stats", start at mean 0 and variance 1, and move towards the
    batch's by a fraction `rate` in every training pass. The variance is the biased one, and `epsilon` is added to it.
    Gradients flow through the batch's statistics. As in the authors' code the cells of a mask's identity half still
    count, as zeros: if they are half of the cells, the mean is half of that of the other cells.

    With `batch_norm_lag` above 0, training uses a running average over recent batches (Section 3.7 and Appendix E of
    the RealNVP paper),

        used = lag * running + (1 - lag) * batch,

    which also becomes the new running value; gradients flow through the batch's part alone.
    """

    batch_norm_lag: float = parameter(
        0.0, "weight of the running statistics in training; 0 is plain batch norm", at_least=0, below=1
    )
    rate: float = 0.1
    epsilon: float = 1e-4
    removes_offset = True

    @property
    def subtracts_batch_mean(self) -> bool:
        """Whether it is plain batch norm, without a lag."""
        return self.batch_norm_lag == 0

    @nn.compact
    def _running(self, channels: int) -> Any:
        mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,))
        return mean, self.variable("batch_stats", "variance", jnp.ones, (channels,))

    def __call__(self, x, cells=None, mode=EVALUATE):
        """The batch's statistics in training and initialization, the running ones otherwise."""
        running = self._running(x.shape[-1])
        mean, variance = running[0].value, running[1].value
        if mode.uses_batch_statistics:
            batch_mean, batch_variance = moments(x, mode.axis_name)
            lag = self.batch_norm_lag
            if lag:
                batch_mean = lag * jax.lax.stop_gradient(mean) + (1 - lag) * batch_mean
                batch_variance = lag * jax.lax.stop_gradient(variance) + (1 - lag) * batch_variance
            mean, variance = batch_mean, batch_variance
        if mode.trains:
            self._update(running, mean, variance)
        return per_channel(mean, x), per_channel(0.5 * jnp.log(variance + self.epsilon), x)

    def _update(self, running: Any, mean: jax.Array, variance: jax.Array) -> None:
        """Move the running statistics towards those that the pass used."""
        rate = 1 if self.batch_norm_lag else self.rate
        for variable, used in zip(running, (mean, variance), strict=True):
            variable.value += rate * (jax.lax.stop_gradient(used) - variable.value)
        self.note_used(mean=mean, variance=variance)


class ChannelStatistics(Normalization):
    """Mean and log of the standard deviation per channel, set from one batch and then kept.

    Both start at 0. A pass in the mode INITIALIZE sets them so that they normalize its own input to mean 0 and
    variance 1; every other pass uses them as they are.

    Attributes:
      collection: "params", in which they are trained afterwards, or STANDARDIZATION, in which they are constants.
    """

    collection: str = "params"

    @nn.compact
    def __call__(self, x, cells=None, mode=EVALUATE):
        """The stored statistics."""
        names = ("mean", "log_std")
        stored = tuple(self._stored(name, x.shape[-1:]) for name in names)
        if mode.initializes:
            stored = _set_by(x, cells, mode.axis_name)
            for name, value in zip(names, stored, strict=True):
                self.put_variable(self.collection, name, value)
        return per_channel(stored[0], x), per_channel(stored[1], x)

    def _stored(self, name: str, shape: tuple[int, ...]) -> jax.Array:
        zeros: Any = nn.initializers.zeros
        if self.collection == "params":
            return self.param(name, zeros, shape)
        return self.variable(self.collection, name, jnp.zeros, shape).value


@register("normalization", "act_norm")
class ActNorm(ChannelStatistics):
    """Trainable statistics, initialized by `flow.init(key, x)`; with a mask, from the transformed cells only."""

    learns_mean = True


class StandardizationStatistics(ChannelStatistics):
    """Constant statistics, set from data by `flow.init(key, x)`."""

    collection: str = STANDARDIZATION


def per_channel(values: jax.Array, x: jax.Array) -> jax.Array:
    """Values [channels], shaped to broadcast against x [..., channels]."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def moments(
    x: Float[Array, "*n channels"], axis_name: str | None = None
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """Mean and biased variance E[x^2] - E[x]^2 over all axes but the last, and over the devices of `axis_name`.

    It takes one pass over x. Rounding errors matter only if a mean is hundreds of standard deviations away from zero.
    """
    axes = tuple(range(x.ndim - 1))
    averages = jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)
    if axis_name is not None:
        averages = jax.lax.pmean(averages, axis_name)
    mean, square = averages
    return mean, jnp.maximum(square - jnp.square(mean), 0)


def _set_by(x: Float[Array, "*n channels"], cells: Cells, axis_name: str | None) -> tuple[Array, Array]:
    """Mean and log standard deviation (0 for a constant channel) of the global batch, over the transformed cells.

    Values are first scaled to [-1, 1], so that changing their units, by any factor, changes the result accordingly.
    """
    axes = tuple(range(x.ndim - 1))
    largest = jnp.max(jnp.abs(x), axes)
    if axis_name is not None:
        largest = jax.lax.pmax(largest, axis_name)
    largest = jnp.where(largest > 0, largest, 1)
    x = x / per_channel(largest, x)
    weights = jnp.ones((1,) * x.ndim, x.dtype)
    if cells is not None:
        weights = jnp.where(cells, jnp.zeros_like(weights), weights)
    weights = jnp.broadcast_to(weights, (*x.shape[:-1], 1))

    def average(values: jax.Array) -> jax.Array:
        totals = jnp.sum(weights * values, axes), jnp.sum(weights, axes)
        if axis_name is not None:
            totals = jax.lax.psum(totals, axis_name)
        return totals[0] / jnp.maximum(totals[1], 1)  # 0 cells are transformed by a mask of 1x1 images

    mean = average(x)
    variance = average(jnp.square(x - per_channel(mean, x)))
    varies = variance > (8 * jnp.finfo(x.dtype).eps) ** 2
    log_std = 0.5 * jnp.log(jnp.where(varies, variance, 1)) + jnp.where(varies, jnp.log(largest), 0)
    return largest * mean, log_std
