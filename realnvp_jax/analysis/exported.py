"""A flow's functions as StableHLO, by `jax.export`: they run wherever JAX runs, without this package.

    log_prob(leaves, x)          [n, *event] -> [n] nats, as `Flow.log_prob`
    sample(leaves, latents)      [n, *event] -> [n, *event], as the first value of `Flow.inverse`: draws of the base
                                 distribution become samples

`leaves` are the parameters by name, the content of model.safetensors. A conditional flow's functions have a third
argument, the context [n, context_size]. The batch size n is free. JAX promises that an exported function can be called
with later versions of JAX for six months, on the platforms that it was exported for.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.runs.saved_flow import named_leaves, params_of

PLATFORMS = ("cpu", "cuda", "tpu")


def _log_prob(flow: Flow, params: Params, x: Any, *context: Any) -> jax.Array:
    return flow.log_prob(params, x, *context)


def _sample(flow: Flow, params: Params, latents: Any, *context: Any) -> jax.Array:
    return flow.inverse(params, latents, *context)[0]


FUNCTIONS: dict[str, Callable[..., jax.Array]] = {"log_prob": _log_prob, "sample": _sample}


def argument_shapes(flow: Flow) -> list[jax.ShapeDtypeStruct]:
    """Shapes of x or latents, and of the context if the flow is conditional, with a symbolic batch size."""
    (n,) = jax.export.symbolic_shape("n")
    events = [flow.event_shape, *([(flow.context_size,)] if flow.context_size else [])]
    return [jax.ShapeDtypeStruct((n, *event), jnp.float32) for event in events]


def example_arguments(flow: Flow, params: Params, name: str, num: int, seed: int = 0) -> list[np.ndarray]:
    """Arguments of one of the functions, drawn at random: samples of the flow, or latents; and a context."""
    keys = jax.random.split(jax.random.key(seed), 2)
    values = flow.base.sample(keys[0], (num, *flow.event_shape))
    context = [jax.random.normal(keys[1], (num, flow.context_size))] if flow.context_size else []
    if name == "log_prob":
        values = _sample(flow, params, values, *context)
    return [np.asarray(argument) for argument in (values, *context)]


def export_stablehlo(flow: Flow, params: Params, name: str, platforms: tuple[str, ...] = PLATFORMS) -> bytes:
    """A serialized function, for `jax.export.deserialize`, which needs the leaves as its first argument.

    Args:
      flow: the flow.
      params: its parameters, of which only names, shapes and dtypes matter.
      name: "log_prob" or "sample".
      platforms: the platforms that the function runs on.

    Raises:
      ValueError: the parameters belong to another flow.
    """
    leaves = {leaf: jax.ShapeDtypeStruct(x.shape, x.dtype) for leaf, x in named_leaves(flow, params).items()}

    def with_leaves(leaves: Mapping[str, Any], *arguments: jax.Array) -> jax.Array:
        return FUNCTIONS[name](flow, params_of(flow, leaves), *arguments)

    exported = jax.export.export(jax.jit(with_leaves), platforms=platforms)(leaves, *argument_shapes(flow))
    return bytes(exported.serialize())
