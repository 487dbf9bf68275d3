"""Flows in NumPyro: as a distribution, such as a learned prior, and as a transform of another distribution.

    x ~ FlowDistribution(flow, params)
    x = FlowTransform(flow, params)(z),    log |det dx/dz| from the flow

NumPyro's transforms go from the latent to the data, as `Flow.inverse` does.
"""

import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import check_context

if importlib.util.find_spec("numpyro") is None:
    raise ImportError("expected NumPyro, to put flows into its models; got none: pip install 'realnvp-jax[numpyro]'")

from numpyro.distributions import Distribution, constraints
from numpyro.distributions.transforms import Transform
from numpyro.distributions.util import validate_sample


class FlowDistribution(Distribution):
    """The density of a flow as a NumPyro distribution.

    A pytree whose leaves are the parameters and the context, so that it goes through `jit`, `grad` and `vmap`, and
    samples have gradients with respect to both.

    Args:
      flow: the flow.
      params: its parameters.
      context: what the density is conditioned on, [*batch_shape, context_size], if the flow is conditional.
      validate_args: whether `log_prob` is -inf, with a warning, for values outside the support.

    Raises:
      ValueError: the context has the wrong shape, or the flow is conditional and there is none.
    """

    pytree_data_fields = ("params", "context")
    pytree_aux_fields = ("flow",)

    def __init__(self, flow: Flow, params: Params, context: Any = None, *, validate_args: bool | None = None):
        check_context(context, flow.context_size)
        self.flow, self.params = flow, params
        self.context = None if context is None else jnp.asarray(context)
        batch_shape = () if context is None else np.shape(context)[:-1]
        super().__init__(batch_shape, flow.event_shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        """Real numbers, or the interval of the flow's preprocessing."""
        return _every_dim(self.flow, self.flow.preprocessing.support)

    def sample(self, key: jax.Array, sample_shape: tuple[int, ...] = ()) -> jax.Array:
        """Draws of shape sample_shape + batch_shape + event_shape."""
        return self.flow.sample(self.params, key, sample_shape, context=self.context)

    @validate_sample
    def log_prob(self, value: Any, intermediates: Any = None) -> jax.Array:
        """Log-density in nats, [*batch]."""
        return self.flow.log_prob(self.params, value, self.context)


class FlowTransform(Transform):
    """The bijection of an unconditional flow as a NumPyro transform, from the latent to the data.

    A pytree whose leaves are the parameters.

    Args:
      flow: the flow; only its base distribution plays no part.
      params: its parameters.

    Raises:
      ValueError: the flow is conditional.
    """

    def __init__(self, flow: Flow, params: Params):
        if flow.context_size:
            raise ValueError(
                f"expected a flow without a context; got one of context size {flow.context_size}: use FlowDistribution"
            )
        self.flow, self.params = flow, params

    @property
    def domain(self) -> constraints.Constraint:
        """The support of the latents: real numbers, or the unit interval for a uniform base."""
        return _every_dim(self.flow, self.flow.base.support)

    @property
    def codomain(self) -> constraints.Constraint:
        """The support of the data: real numbers, or the interval of the flow's preprocessing."""
        return _every_dim(self.flow, self.flow.preprocessing.support)

    def __call__(self, x: Any) -> jax.Array:
        """Latent to data; both have the shape (*batch, *event_shape)."""
        return self.flow.inverse(self.params, x)[0]

    def _inverse(self, y: Any) -> jax.Array:
        return self.flow.forward(self.params, y)[0]

    def call_with_intermediates(self, x: Any) -> tuple[jax.Array, jax.Array]:
        """(data, log |det|): `log_abs_det_jacobian` takes the second, and saves a pass."""
        return self.flow.inverse(self.params, x)

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> jax.Array:
        """Log |det dy/dx| of latents x and their data y, [*batch]."""
        return -self.flow.forward(self.params, y)[1] if intermediates is None else intermediates

    def tree_flatten(self) -> Any:
        """The parameters are leaves, and the flow is static."""
        return (self.params,), (("params",), {"flow": self.flow})

    def eq(self, other: object, static: bool = False) -> Any:
        """Whether both have the same flow and the same parameters."""
        if not isinstance(other, FlowTransform) or self.flow != other.flow:
            return False
        return self.params is other.params  # values cannot be compared under a JAX transformation


def _every_dim(flow: Flow, interval: tuple[float, float]) -> constraints.Constraint:
    """The constraint that every dimension of an event, or of a latent, is in the interval."""
    dims = len(flow.event_shape)
    if interval != (-np.inf, np.inf):
        return constraints.independent(constraints.interval(*interval), dims)
    return constraints.real_vector if dims == 1 else constraints.independent(constraints.real, dims)
