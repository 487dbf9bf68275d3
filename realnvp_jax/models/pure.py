"""What a flow computes, as compiled pure functions of checked arrays: x is [n, *event], context [n, width] or None.

`realnvp_jax.models.flow.Flow` is their public face; `flow` is one, and static.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import FlaxError
from jaxtyping import Array, Float

from realnvp_jax import likelihood
from realnvp_jax.networks.data_statistics import STANDARDIZATION
from realnvp_jax.preprocessing import dequantize_each


def _apply(flow: Any, variables: dict[str, Any], *args, method: str, **kwargs) -> Any:
    try:
        return flow.bijection.apply(variables, *args, method=method, **kwargs)
    except (FlaxError, ValueError, TypeError) as error:  # the arrays were checked: the variables do not fit
        reason = " ".join(str(error).split(" (https")[0].split())[:200]
        raise ValueError(
            f"expected parameters of this flow, as init, load or from_authors make them: {reason}"
        ) from None


def _sum_event(x: Float[Array, "n *event"]) -> Float[Array, " n"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


@functools.partial(jax.jit, static_argnums=0)
def init(flow: Any, key):
    """Fresh variables, before any look at data."""
    dtype = jnp.result_type(float)
    event = jax.ShapeDtypeStruct((1, *flow.event_shape), dtype)
    context = jax.ShapeDtypeStruct((1, flow.context_size), dtype) if flow.context_size else None
    variables = flow.bijection.lazy_init(key, event, context, method=type(flow.bijection).forward)
    return {"params": {}, "batch_stats": {}, **variables}


@functools.partial(jax.jit, static_argnums=0)
def init_from_data(flow: Any, variables, x, context):
    """One pass in training mode that may write the collections of `DataStatistics` and `LearnedLinear`."""
    y, _ = flow.preprocessing.forward(x)
    collections = ["params", STANDARDIZATION]
    _, updates = _apply(
        flow, variables, y, context, method="forward", mutable=[*collections, "batch_stats"], train=True, axis_name=None
    )
    return {**variables, **{name: updates[name] for name in collections if name in updates}}


def _density(flow: Any, variables, x, context, train=False, axis_name=None):
    """(log_prob, updated statistics) of x of shape [n, *event]."""
    contained = flow.preprocessing.contains(x)
    y, derivative = flow.preprocessing.forward(jnp.where(contained, x, flow.preprocessing.interior_point()))
    mutable = ["batch_stats"] if train else []
    (z, log_det), updates = _apply(
        flow, variables, y, context, method="forward", mutable=mutable, train=train, axis_name=axis_name
    )
    log_prob = _sum_event(flow.base.log_density(z)) + log_det + _sum_event(derivative)
    axes = tuple(range(1, x.ndim))
    log_prob = jnp.where(contained.all(axes), log_prob, -jnp.inf)
    return jnp.where(jnp.isnan(x).any(axes), jnp.nan, log_prob), updates


@functools.partial(jax.jit, static_argnums=0)
def log_prob(flow: Any, variables, x, context):
    """Log-density in evaluation mode."""
    return _density(flow, variables, x, context)[0]


@functools.partial(jax.jit, static_argnums=(0, 4))
def log_prob_train(flow: Any, variables, x, context, axis_name):
    """Log-density under the statistics of the batch, and the variables with the running ones updated."""
    log_prob, updates = _density(flow, variables, x, context, train=True, axis_name=axis_name)
    return log_prob, {**variables, **updates}


@functools.partial(jax.jit, static_argnums=0)
def forward(flow: Any, variables, x, context):
    """(z, log |det dz/dx|)."""
    y, derivative = flow.preprocessing.forward(x)
    z, log_det = _apply(flow, variables, y, context, method="forward")
    return z, log_det + _sum_event(derivative)


@functools.partial(jax.jit, static_argnums=0)
def inverse(flow: Any, variables, z, context):
    """(x, log |det dx/dz|)."""
    y, log_det = _apply(flow, variables, z, context, method="inverse")
    x, derivative = flow.preprocessing.inverse(y)
    return x, log_det + _sum_event(derivative)


@functools.partial(jax.jit, static_argnums=(0, 3))
def sample_and_log_prob(flow: Any, variables, key, batch, context, temperature):
    """Draws, [n, *event], and their log-densities at temperature 1."""
    z = temperature * flow.base.sample(key, (int(np.prod(batch)), *flow.event_shape))
    x, log_det = inverse(flow, variables, z, context)
    return x, _sum_event(flow.base.log_density(z)) - log_det


@functools.partial(jax.jit, static_argnums=(0, 6))
def bits_per_dim(flow: Any, variables, key, indices, x, context, num_samples):
    """Importance-weighted bound of K = num_samples dequantizations; `indices` tell whose noise is whose."""
    keys = jax.random.split(key, num_samples) if num_samples > 1 else key[None]
    noisy = jax.vmap(lambda k: dequantize_each(k, indices, x))(keys)
    repeat = None if context is None else jnp.tile(context, (num_samples, 1))
    each = log_prob(flow, variables, noisy.reshape((-1, *flow.event_shape)), repeat)
    return likelihood.bits_per_dim(likelihood.log_mean_exp(each.reshape(num_samples, len(x))), flow.num_dims)
