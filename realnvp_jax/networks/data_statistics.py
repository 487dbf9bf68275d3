"""Mean and deviation that are read off one batch and then kept: the basis of ActNorm and of standardisation.

They start at mean 0 and deviation 1. A pass in which their collection is mutable, as in `flow.init(key, x)`, sets
them from the pass's own input; every other pass uses them as they are, so re-loaded values stay. In the collection
"params" they are trained from there on, in any other they are constants.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

STANDARDIZATION = "standardization"  # the collection of constants
_SMALLEST_VARIANCE = 1e-12  # below it a channel is constant and its deviation stays 1


class DataStatistics(nn.Module):
    """(mean, log_deviation) per channel, each shaped to broadcast against the input.

    Attributes:
      collection: where they live: "params", or STANDARDIZATION for constants.
    """

    collection: str = "params"

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "*n channels"],
        *,
        identity_cells: Bool[Array, "1 height width 1"] | None = None,
        axis_name: str | None = None,
    ) -> tuple[Float[Array, "*ones channels"], Float[Array, "*ones channels"]]:
        """Mean and log-deviation.

        Args:
          x: the input, whose statistics are taken in a pass that sets them.
          identity_cells: cells that do not count.
          axis_name: axis of devices that share the batch.
        """
        shape = x.shape[-1:]
        mean = self._stored("mean", shape)
        log_deviation = self._stored("log_deviation", shape)
        if self.is_mutable_collection(self.collection) and not self.is_initializing():
            mean, variance = _moments(x, identity_cells, axis_name)
            log_deviation = 0.5 * jnp.log(jnp.where(variance > _SMALLEST_VARIANCE, variance, 1))
            self.put_variable(self.collection, "mean", mean)
            self.put_variable(self.collection, "log_deviation", log_deviation)
        broadcast = (1,) * (x.ndim - 1) + shape
        return mean.reshape(broadcast), log_deviation.reshape(broadcast)

    def _stored(self, name: str, shape: tuple[int, ...]) -> jax.Array:
        zeros: Callable[..., jax.Array] = nn.initializers.zeros
        if self.collection == "params":
            return self.param(name, zeros, shape)
        return self.variable(self.collection, name, jnp.zeros, shape).value


def _moments(
    x: Float[Array, "*n channels"], identity_cells: Bool[Array, "1 height width 1"] | None, axis_name: str | None
) -> tuple[Float[Array, " channels"], Float[Array, " channels"]]:
    """Mean and biased variance over the cells that count, of the global batch."""
    axes = tuple(range(x.ndim - 1))
    weights = jnp.ones((1,) * x.ndim, x.dtype)
    if identity_cells is not None:
        weights = jnp.where(identity_cells, jnp.zeros_like(weights), weights)
    weights = jnp.broadcast_to(weights, (*x.shape[:-1], 1))

    def average(values: jax.Array) -> jax.Array:
        totals = jnp.sum(weights * values, axes), jnp.sum(weights, axes)
        if axis_name is not None:
            totals = jax.lax.psum(totals, axis_name)
        return totals[0] / totals[1]

    mean = average(x)
    return mean, average(jnp.square(x - mean.reshape((1,) * (x.ndim - 1) + (-1,))))
