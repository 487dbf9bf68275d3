"""Batch statistics: mean and variance per channel, of the batch in training and running ones otherwise.

The running statistics live in the collection `batch_stats`, start at mean 0 and variance 1, and move towards
the batch's by a fraction `rate` in every training pass. The variance is the biased one. With an `axis_name`
the batch is the global batch over the devices of that axis. Gradients flow through the batch's statistics.

With a `lag` above 0, training uses a running average over recent batches (Section 3.7 and Appendix E of the paper),

    used = lag * running + (1 - lag) * batch,

which also becomes the new running value; gradients flow through the batch's part alone.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def moments(
    x: Float[Array, "*n channels"], axis_name: str | None = None
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """Mean and biased variance over all axes but the last, and over the devices of `axis_name`."""
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    if axis_name is not None:
        mean = jax.lax.pmean(mean, axis_name)
    variance = jnp.mean(jnp.square(x - mean.reshape((1,) * (x.ndim - 1) + (-1,))), axes)
    if axis_name is not None:
        variance = jax.lax.pmean(variance, axis_name)
    return mean, variance


class BatchStatistics(nn.Module):
    """Mean and variance per channel, each shaped to broadcast against the input.

    Attributes:
      rate: fraction by which the running statistics move towards the batch's, running += rate (batch - running).
      lag: weight of the running statistics in training; 0 is plain batch normalisation.
    """

    rate: float = 0.1
    lag: float = 0.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "*n channels"], *, train: bool = False, axis_name: str | None = None
    ) -> tuple[Float[Array, "*ones channels"], Float[Array, "*ones channels"]]:
        """(mean, variance) of the batch if `train`, else the running ones."""
        shape = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_variance = self.variable("batch_stats", "variance", jnp.ones, shape)
        if train:
            mean, variance = moments(x, axis_name)
            rate = self.rate
            if self.lag:
                mean = self.lag * jax.lax.stop_gradient(running_mean.value) + (1 - self.lag) * mean
                variance = self.lag * jax.lax.stop_gradient(running_variance.value) + (1 - self.lag) * variance
                rate = 1
            running_mean.value += rate * (jax.lax.stop_gradient(mean) - running_mean.value)
            running_variance.value += rate * (jax.lax.stop_gradient(variance) - running_variance.value)
        else:
            mean, variance = running_mean.value, running_variance.value
        broadcast = (1,) * (x.ndim - 1) + shape
        return mean.reshape(broadcast), variance.reshape(broadcast)
