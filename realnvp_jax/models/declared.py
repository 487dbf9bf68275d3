"""What modules declare of their parameters: which carry the L2 penalty, are hidden kernels, or must be invertible.

A module declares parameters by a class attribute or property, a tuple of paths relative to the module:

    penalized = ("gain",)
    hidden_kernels = ("hidden_1/kernel",)
    invertible = ("matrix",)
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax

from realnvp_jax.models.pure import DEQUANTIZER, fresh_bijection, fresh_dequantizer
from realnvp_jax.random import root_key


@functools.cache
def penalized(flow: Any) -> frozenset[str]:
    """Paths of the parameters of the bijection that carry the authors' L2 penalty."""
    return frozenset(_found("penalized", lambda: fresh_bijection(flow, root_key(0))))


@functools.cache
def hidden_kernels(flow: Any) -> Mapping[str, int]:
    """Paths of the kernels of hidden layers -> number of axes of a single layer's kernel.

    A kernel maps all its axes but the last to the last one. In loops over layers, kernels have further axes in front.
    """
    found = _found("hidden_kernels", lambda: fresh_bijection(flow, root_key(0)))
    if flow.dequantizer.is_learned:
        learned = _found("hidden_kernels", lambda: fresh_dequantizer(flow, root_key(0)))
        found |= {f"{DEQUANTIZER}/{path}": rank for path, rank in learned.items()}
    return MappingProxyType(dict(sorted(found.items())))


@functools.cache
def invertible_matrices(flow: Any) -> frozenset[str]:
    """Paths of the parameters of the bijection that must be invertible matrices."""
    return frozenset(_found("invertible", lambda: fresh_bijection(flow, root_key(0))))


def _found(attribute: str, make: Callable[[], Any]) -> dict[str, int]:
    """Path -> number of axes, in the module itself, of the parameters that modules declare as `make` creates them."""
    found: dict[str, int] = {}

    def note(call, arguments, options, method):
        result = call(*arguments, **options)
        module = method.module
        if module.scope is not None and hasattr(module, attribute):
            mine: dict[str, Any] = flax.traverse_util.flatten_dict(module.variables.get("params", {}), sep="/")
            names = [name for name in getattr(module, attribute) if name in mine]
            found.update({"/".join((*module.path, name)): mine[name].ndim for name in names})
        return result

    with nn.intercept_methods(note):
        jax.eval_shape(make)
    return found
