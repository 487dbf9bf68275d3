"""Loops over modules of one kind: their parameters have a leading axis, and compiling takes as long as for one."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

_STACKED: Any = {"params": 0, "batch_stats": 0, "intermediates": 0}  # collections with the leading axis


def loop_over(
    step: Callable[[Any, Any, Any], Any],
    module: nn.Module,
    start: Any,
    length: int,
    items: Any = None,
    *,
    reverse: bool = False,
    unroll: bool = False,
) -> Any:
    """Start -> step(module_1, start, item_1) -> step(module_2, ..., item_2) -> ... -> the last value.

    Args:
      step: (module, value, item) -> the next value.
      module: the module, whose variables get the leading axis.
      start: the first value, a tree of arrays.
      length: how many modules.
      items: a tree of arrays with a leading axis for the modules, or None.
      reverse: whether the last module comes first.
      unroll: one module's operations after the other's instead of a loop, which takes longer to compile.
    """

    def body(module, value, item):
        return step(module, value, item), None

    loop = nn.scan(
        body,
        variable_axes=_STACKED,
        split_rngs={"params": True},
        length=length,
        reverse=reverse,
        unroll=length if unroll else 1,
        check_constancy_invariants=module.is_initializing(),  # else one more trace, for nothing
    )
    return loop(module, start, items)[0]
