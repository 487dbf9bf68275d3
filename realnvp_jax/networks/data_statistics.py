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
            mean, log_deviation = _moments(x, identity_cells, axis_name)
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
    """Mean and log-deviation over the cells that count, of the global batch; of a constant channel log 1.

    Values are brought to [-1, 1] first, so that the result follows a change of units, whatever they are.
    """
    axes = tuple(range(x.ndim - 1))
    largest = jnp.max(jnp.abs(x), axes)
    if axis_name is not None:
        largest = jax.lax.pmax(largest, axis_name)
    largest = jnp.where(largest > 0, largest, 1)
    x = x / largest.reshape((1,) * (x.ndim - 1) + (-1,))
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
    variance = average(jnp.square(x - mean.reshape((1,) * (x.ndim - 1) + (-1,))))
    varies = variance > (8 * jnp.finfo(x.dtype).eps) ** 2
    log_deviation = 0.5 * jnp.log(jnp.where(varies, variance, 1)) + jnp.where(varies, jnp.log(largest), 0)
    return largest * mean, log_deviation
