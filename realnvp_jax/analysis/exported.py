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


def functions_of(flow: Flow) -> dict[str, Callable[..., jax.Array]]:
    """Name -> function (params, x or latents, context if the flow is conditional)."""
    return {
        "log_prob": lambda params, x, *context: flow.log_prob(params, x, *context),
        "sample": lambda params, latents, *context: flow.inverse(params, latents, *context)[0],
    }


def argument_shapes(flow: Flow) -> list[jax.ShapeDtypeStruct]:
    """Shapes of x or latents, and of the context if the flow is conditional, with a symbolic batch size."""
    (n,) = jax.export.symbolic_shape("n")
    events = [flow.event_shape, *([(flow.context_size,)] if flow.context_size else [])]
    return [jax.ShapeDtypeStruct((n, *event), jnp.float32) for event in events]


def example_arguments(flow: Flow, name: str, num: int, seed: int = 0) -> list[np.ndarray]:
    """Arguments of one of the functions, drawn at random: points of the support, or latents; and a context."""
    keys = jax.random.split(jax.random.key(seed), 2)
    values = flow.base.sample(keys[0], (num, *flow.event_shape))
    if name == "log_prob":
        values = flow.preprocessing.inverse(values)[0]
    context = [np.asarray(jax.random.normal(keys[1], (num, flow.context_size)))] if flow.context_size else []
    return [np.asarray(values), *context]


def export_stablehlo(flow: Flow, params: Params, platforms: tuple[str, ...] = PLATFORMS) -> dict[str, bytes]:
    """Name -> serialized function, for `jax.export.deserialize`, which needs the leaves as its first argument.

    Args:
      flow: the flow.
      params: its parameters, of which only names, shapes and dtypes matter.
      platforms: the platforms that the functions run on.

    Raises:
      ValueError: the parameters belong to another flow.
    """
    leaves = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in named_leaves(flow, params).items()}

    def serialized(function: Callable[..., jax.Array]) -> bytes:
        def with_leaves(leaves: Mapping[str, Any], *arguments: jax.Array) -> jax.Array:
            return function(params_of(flow, leaves), *arguments)

        exported = jax.export.export(jax.jit(with_leaves), platforms=platforms)(leaves, *argument_shapes(flow))
        return bytes(exported.serialize())

    return {name: serialized(function) for name, function in functions_of(flow).items()}
