"""Flows in the shape of Distrax's distributions and bijectors, without depending on Distrax.

    FlowDistribution    the density p(x)
    FlowBijector        the map z -> x: forward is from the latent to the data

Distrax calls `forward` the map from the base distribution's values to those of the transformed distribution. This is
the opposite of `Flow.forward`: `FlowBijector.forward` is `Flow.inverse`, and its `inverse` is `Flow.forward`.

Distrax only takes objects of its own classes. If it is imported before an object is made, the object counts as one of
them, and can be used within `distrax.Transformed`, `distrax.Independent`, `distrax.Chain` and the like.
"""

import dataclasses
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import check_context


def _count_as(name: str, cls: type) -> None:
    """Let instances of a class pass for those of Distrax's abstract class of this name, if Distrax is in use."""
    distrax = sys.modules.get("distrax")
    if distrax is not None:
        getattr(distrax, name).register(cls)


def _pytree(cls: type) -> type:
    """Register a class whose fields are flow, params and context.

    JAX makes instances without calling __init__: in place of arrays it also puts None, axes and the like, which the
    check of the context would refuse.
    """
    keys = jax.tree_util.GetAttrKey("params"), jax.tree_util.GetAttrKey("context")

    def flatten(instance: Any) -> Any:
        return (instance.params, instance.context), instance.flow

    def flatten_with_keys(instance: Any) -> Any:
        children, flow = flatten(instance)
        return tuple(zip(keys, children, strict=True)), flow

    def unflatten(flow: Any, children: Any) -> Any:
        instance = object.__new__(cls)
        vars(instance).update(flow=flow, params=children[0], context=children[1])
        return instance

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


@_pytree
@dataclasses.dataclass(frozen=True, eq=False)
class FlowDistribution:
    """The density of a flow as a Distrax distribution; a pytree.

    It has Distrax's `log_prob`, `prob`, `sample`, `sample_and_log_prob`, `batch_shape`, `event_shape`, `dtype` and
    `name`. A flow has no closed form of the others, such as `entropy`, `mean`, `cdf` and `kl_divergence`.

    Attributes:
      flow: the flow.
      params: its parameters.
      context: what the density is conditioned on, [*batch_shape, context_size], if the flow is conditional.

    Raises:
      ValueError: the context has the wrong shape, or the flow is conditional and there is none.
    """

    flow: Flow
    params: Params
    context: Any = None

    def __post_init__(self):
        check_context(self.context, self.flow.context_size)
        _count_as("Distribution", FlowDistribution)

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.flow.event_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The leading dimensions of the context, () without one."""
        return () if self.context is None else np.shape(self.context)[:-1]

    @property
    def dtype(self) -> Any:
        """Type of the samples."""
        return jnp.result_type(float)

    def log_prob(self, value: Any) -> jax.Array:
        """Log-density in nats, [*batch]; raises what `Flow.log_prob` raises."""
        return self.flow.log_prob(self.params, value, self.context)

    def prob(self, value: Any) -> jax.Array:
        """Density, [*batch]."""
        return jnp.exp(self.log_prob(value))

    def sample(self, *, seed: Any, sample_shape: Any = ()) -> jax.Array:
        """Draws of shape sample_shape + batch_shape + event_shape.

        Args:
          seed: random key, or an integer.
          sample_shape: an integer, or a sequence of them.
        """
        return self.flow.sample(self.params, _key(seed), sample_shape, context=self.context)

    def sample_and_log_prob(self, *, seed: Any, sample_shape: Any = ()) -> tuple[jax.Array, jax.Array]:
        """`sample`, and the log-density of each draw in nats, from the same pass."""
        return self.flow.sample_and_log_prob(self.params, _key(seed), sample_shape, context=self.context)


@_pytree
@dataclasses.dataclass(frozen=True, eq=False)
class FlowBijector:
    """The map of a flow from the latent to the data, with every method of a Distrax bijector; a pytree.

    Latents and data have the shape (*batch, *event_shape), and log-determinants the shape (*batch,).

    Attributes:
      flow: the flow; only its base distribution plays no part.
      params: its parameters.
      context: what the map is conditioned on, [*batch, context_size], if the flow is conditional.

    Raises:
      ValueError: the context has the wrong shape, or the flow is conditional and there is none.
    """

    flow: Flow
    params: Params
    context: Any = None

    is_constant_jacobian = False
    is_constant_log_det = False

    def __post_init__(self):
        check_context(self.context, self.flow.context_size)
        _count_as("Bijector", FlowBijector)

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def event_ndims_in(self) -> int:
        """Number of dimensions of a latent, which has the shape of an example."""
        return len(self.flow.event_shape)

    @property
    def event_ndims_out(self) -> int:
        """Number of dimensions of an example."""
        return len(self.flow.event_shape)

    def forward_and_log_det(self, x: Any) -> tuple[jax.Array, jax.Array]:
        """Latent x to data y: (y, log |det dy/dx|); raises what `Flow.inverse` raises."""
        return self.flow.inverse(self.params, x, self.context)

    def inverse_and_log_det(self, y: Any) -> tuple[jax.Array, jax.Array]:
        """Data y to latent x: (x, log |det dx/dy|); raises what `Flow.forward` raises."""
        return self.flow.forward(self.params, y, self.context)

    def forward(self, x: Any) -> jax.Array:
        """Latent to data."""
        return self.forward_and_log_det(x)[0]

    def inverse(self, y: Any) -> jax.Array:
        """Data to latent."""
        return self.inverse_and_log_det(y)[0]

    def forward_log_det_jacobian(self, x: Any) -> jax.Array:
        """Log |det dy/dx| at the latent x."""
        return self.forward_and_log_det(x)[1]

    def inverse_log_det_jacobian(self, y: Any) -> jax.Array:
        """Log |det dx/dy| at the data y."""
        return self.inverse_and_log_det(y)[1]

    def same_as(self, other: Any) -> bool:
        """Whether the other is certain to be the same map."""
        return self is other


def _key(seed: Any) -> jax.Array:
    return jax.random.key(int(seed)) if isinstance(seed, int | np.integer) else seed
