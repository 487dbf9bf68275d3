"""Loops over modules of one kind: their variables have a leading axis, and compiling takes as long as for one module.

While parameters are created, the loop is Flax's lifted scan. Every other pass is a pure function of the stacked
variables in `jax.lax.scan`, which traces faster and allows a custom rule for what the backward pass keeps.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from realnvp_jax.networks.statistics import USED_STATISTICS

LOG_SCALES = "log_scales"  # the collection of the largest |log-derivatives| of a training pass; not in parameters
_WRITTEN_BY_PASSES = (USED_STATISTICS, LOG_SCALES, "intermediates")  # they do not exist until a pass writes them


def loop_over(
    step: Callable[[Any, Any, Any], Any],
    module: Any,
    start: Any,
    length: int,
    places: Any = None,
    *,
    reverse: bool = False,
    unroll: bool = False,
    wrap: Callable[[Any], Any] = lambda body: body,
) -> Any:
    """Start -> step(module_0, start, 0) -> step(module_1, ..., 1) -> ... -> the last value.

    Args:
      step: (module, value, number of the module) -> the next value.
      module: the module, bound to variables with the leading axis.
      start: the first value, a tree of arrays.
      length: number of modules.
      places: how the modules differ besides their variables: an array with a leading axis, from which
        `module.at(place)` makes each module; or None.
      reverse: whether the last module comes first.
      unroll: write out the modules one after the other instead of a loop; compiling takes longer.
      wrap: transformation of the loop's body, such as `jax.checkpoint`.
    """
    if module.is_initializing():
        loop = nn.scan(
            lambda module, value, _: (step(module, value, 0), None),
            variable_axes={True: 0},
            split_rngs={"params": True},
            length=length,
        )
        return loop(module, start, None)[0]
    unbound, variables = module.unbind()
    mutable = [name for name in (*variables, *_WRITTEN_BY_PASSES) if module.is_mutable_collection(name)]

    def body(value, layer):
        variables, place, number = layer
        at_place = unbound if place is None else unbound.at(place)
        return nn.apply(lambda module, value: step(module, value, number), at_place, mutable=mutable)(variables, value)

    trips = length if unroll else 1
    layers = variables, places, jnp.arange(length)
    value, updated = jax.lax.scan(wrap(body), start, layers, length=length, reverse=reverse, unroll=trips)
    store(module, updated)
    return value


def varying_with(tree: Any, *others: Any) -> Any:
    """Floating-point arrays, the same values, that vary over all axes of a `shard_map` over which the others vary.

    Under its checks the carry of a loop must vary over the same axes from its start to its end.
    """
    zeros = [jnp.zeros_like(leaf, shape=()) for leaf in jax.tree.leaves(others)]
    return jax.tree.map(lambda leaf: leaf + sum(zeros, jnp.zeros((), leaf.dtype)), tree)


def store(module: nn.Module, updated: Any) -> None:
    """Write the updated collections that a pure pass returned into a module's variables."""
    for collection, values in updated.items():
        for name, value in values.items():
            module.put_variable(collection, name, value)
