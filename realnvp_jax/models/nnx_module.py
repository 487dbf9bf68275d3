"""`Flow.to_nnx`: a flow and its parameters as a module of Flax NNX, which holds its own state."""

from typing import Any

import jax
from flax import nnx
from flax.nnx.bridge import variables as bridge
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import checked_params


class FlowModule(nnx.Module):
    """Methods of a flow without their first argument, the parameters, which are the variables of this module.

    Trainable parameters are `nnx.Param` and running statistics `nnx.BatchStat`, so that `nnx.grad`, `nnx.Optimizer(...,
    wrt=nnx.Param)` and `nnx.jit` treat them like those of any module. Variables of other collections, such as the
    "standardization" of vectors, have a type of the collection's name, and stay as they are in training. The other
    arguments, the results and the errors of a method are those of the method of `Flow` with the same name, except that
    training passes take no axis_name and return no parameters: x and z have shape (*batch, *event_shape), context has
    (*batch, context_size), and densities have (*batch,). Methods that need no parameters are those of `flow`.

    Attributes:
      flow: the flow.
      variables: its parameters as variables, by the names that they have in the parameters.
    """

    def __init__(self, flow: Flow, params: Params):
        self.flow = flow
        self.variables = nnx.data(bridge.linen_vars_to_nnx_attrs(checked_params(params)))

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as `Flow` takes them: {"params": ..., "batch_stats": ...}."""
        return checked_params(bridge.nnx_attrs_to_linen_vars(self.variables))

    def log_prob(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "*batch"]:
        """Exact log-density in nats, in evaluation mode."""
        return self.flow.log_prob(self.params, x, context)

    def log_prob_train(self, x: ArrayLike, context: ArrayLike | None = None) -> Float[Array, "*batch"]:
        """Log-density in nats under the statistics of the batch; updates the running statistics in place."""
        log_prob, updated = self.flow.log_prob_train(self.params, x, context)
        self._keep_statistics(updated)
        return log_prob

    def bits_per_dim(
        self, key: jax.Array, x: ArrayLike, context: ArrayLike | None = None, *, num_samples: int = 1
    ) -> Float[Array, "*batch"]:
        """Upper bound on the bits per dimension of discrete data, in evaluation mode."""
        return self.flow.bits_per_dim(self.params, key, x, context, num_samples=num_samples)

    def bits_per_dim_train(
        self, key: jax.Array, x: ArrayLike, context: ArrayLike | None = None
    ) -> Float[Array, "*batch"]:
        """Bits per dimension under the statistics of the batch; updates the running statistics in place."""
        bits, updated = self.flow.bits_per_dim_train(self.params, key, x, context)
        self._keep_statistics(updated)
        return bits

    def forward(
        self, x: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Data to latent: (z, log |det dz/dx|), in evaluation mode."""
        return self.flow.forward(self.params, x, context)

    def inverse(
        self, z: ArrayLike, context: ArrayLike | None = None
    ) -> tuple[Float[Array, "..."], Float[Array, "*batch"]]:
        """Latent to data: (x, log |det dx/dz|), in evaluation mode."""
        return self.flow.inverse(self.params, z, context)

    def sample(self, key: jax.Array, shape: Any = (), **options: Any) -> Float[Array, "..."]:
        """Draws of shape `shape` + event_shape; the options are context, temperature and progress."""
        return self.flow.sample(self.params, key, shape, **options)

    def sample_and_log_prob(
        self, key: jax.Array, shape: Any = (), **options: Any
    ) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """`sample`, and the log-density of each draw in nats; the options are context, temperature and check."""
        return self.flow.sample_and_log_prob(self.params, key, shape, **options)

    def _keep_statistics(self, updated: Params) -> None:
        nnx.update(self, nnx.state(FlowModule(self.flow, updated), nnx.BatchStat))
