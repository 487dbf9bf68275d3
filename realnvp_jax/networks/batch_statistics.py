"""Batch statistics: mean and variance per channel, of the batch in training and running ones otherwise.

The running statistics live in the collection `batch_stats`, start at mean 0 and variance 1, and move towards
the batch's by a fraction `rate` in every training pass. The variance is the biased one. With an `axis_name`
the batch is the global batch over the devices of that axis. Gradients flow through the batch's statistics.

With a `lag` above 0, training uses a running average over recent batches (Section 3.7 and Appendix E of the paper),

    used = lag * running + (1 - lag) * batch,

which also becomes the new running value; gradients flow through the batch's part alone.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def moments(
    x: Float[Array, "*n channels"], axis_name: str | None = None
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """Mean and biased variance E[x^2] - E[x]^2 over all axes but the last, and over the devices of `axis_name`.

    One pass over x; its rounding is a matter of means that are hundreds of deviations away from zero.
    """
    axes = tuple(range(x.ndim - 1))
    averages = jnp.mean(x, axes), jnp.mean(jnp.square(x), axes)
    if axis_name is not None:
        averages = jax.lax.pmean(averages, axis_name)
    mean, square = averages
    return mean, jnp.maximum(square - jnp.square(mean), 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4, 5))
def _normalize(x, running_mean, running_variance, lag, epsilon, axis_name):
    """((x - mean) / sqrt(variance + epsilon), mean, variance), with the statistics used in training."""
    return _normalize_forward(x, running_mean, running_variance, lag, epsilon, axis_name)[0]


def _normalize_forward(x, running_mean, running_variance, lag, epsilon, axis_name):
    batch_mean, batch_variance = mean, variance = moments(x, axis_name)
    if lag:
        mean = lag * running_mean + (1 - lag) * batch_mean
        variance = lag * running_variance + (1 - lag) * batch_variance
    scale = jax.lax.rsqrt(variance + epsilon)
    y = (x - _wide(mean, x)) * _wide(scale, x)
    return (y, mean, variance), (x, batch_mean, mean, scale)


def _normalize_backward(lag, epsilon, axis_name, residuals, cotangents):
    """The gradient in x, with two reductions in one pass.

    dx = scale (g - w E[g] - w scale^2 E[g (x - mean)] (x - batch_mean)),    w = 1 - lag
    """
    x, batch_mean, mean, scale = residuals
    g, _, _ = cotangents  # nothing flows back from statistics
    axes = tuple(range(x.ndim - 1))
    averages = jnp.mean(g, axes), jnp.mean(g * x, axes)
    if axis_name is not None:
        averages = jax.lax.pmean(averages, axis_name)
    average, with_x = averages
    slope = (1 - lag) * jnp.square(scale) * (with_x - mean * average)
    constant = (1 - lag) * average - slope * batch_mean
    x_bar = _wide(scale, x) * (g - _wide(constant, x) - _wide(slope, x) * x)
    return x_bar, jnp.zeros_like(mean), jnp.zeros_like(mean)


_normalize.defvjp(_normalize_forward, _normalize_backward)


def _wide(values: jax.Array, x: jax.Array) -> jax.Array:
    """Values per channel, to broadcast against x."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


class BatchStatistics(nn.Module):
    """Mean and variance per channel, each shaped to broadcast against the input.

    Attributes:
      rate: fraction by which the running statistics move towards the batch's, running += rate (batch - running).
      lag: weight of the running statistics in training; 0 is plain batch normalisation.
    """

    rate: float = 0.1
    lag: float = 0.0

    def normalized(
        self, x: Float[Array, "*n channels"], epsilon: float, *, train: bool = False, axis_name: str | None = None
    ) -> Float[Array, "*n channels"]:
        """(x - mean) / sqrt(variance + epsilon); in training with a gradient of its own, in reverse mode only."""
        running_mean, running_variance = self._running(x.shape[-1:])
        if not train:
            return (x - _wide(running_mean.value, x)) * jax.lax.rsqrt(_wide(running_variance.value, x) + epsilon)
        used: Any = _normalize(x, running_mean.value, running_variance.value, self.lag, epsilon, axis_name)
        self._update(*used[1:])
        return used[0]

    def __call__(
        self, x: Float[Array, "*n channels"], *, train: bool = False, axis_name: str | None = None
    ) -> tuple[Float[Array, "*ones channels"], Float[Array, "*ones channels"]]:
        """(mean, variance) of the batch if `train`, else the running ones."""
        running_mean, running_variance = self._running(x.shape[-1:])
        mean, variance = running_mean.value, running_variance.value
        if train:
            batch_mean, batch_variance = moments(x, axis_name)
            if self.lag:
                batch_mean = self.lag * jax.lax.stop_gradient(mean) + (1 - self.lag) * batch_mean
                batch_variance = self.lag * jax.lax.stop_gradient(variance) + (1 - self.lag) * batch_variance
            mean, variance = batch_mean, batch_variance
            self._update(mean, variance)
        return _wide(mean, x), _wide(variance, x)

    @nn.compact
    def _running(self, shape: tuple[int, ...]) -> Any:
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        return mean, self.variable("batch_stats", "variance", jnp.ones, shape)

    def _update(self, mean: jax.Array, variance: jax.Array) -> None:
        """Move the running statistics towards those that were used."""
        rate = 1 if self.lag else self.rate
        for running, used in zip(self._running(mean.shape), (mean, variance), strict=True):
            running.value += rate * (jax.lax.stop_gradient(used) - running.value)
