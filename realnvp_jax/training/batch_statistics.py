"""Check that a batch is large enough for a flow's batch statistics."""

import functools
import math
from typing import Any

import flax.linen as nn
import jax

from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow
from realnvp_jax.networks.statistics import Normalization
from realnvp_jax.random import root_key


def check_batch_statistics(flow: Flow, batch_size: int, accumulate: int = 1) -> None:
    """Raise ValueError for batches, or parts of batches, of one example with a variance of 0 in some layer.

    The output of such a layer is 0 for every example, so that the density has no upper bound.
    """
    if batch_size == accumulate and _smallest_layer(flow) == 1:
        got = "1" if accumulate == 1 else f"{batch_size} in accumulate={accumulate} parts"
        raise ValueError(
            "expected a batch_size of at least 2 for a flow with batch statistics, since the variance of one value is "
            f'0 and the density then grows without bound; got {got}: raise it, or use normalization="act_norm"'
        )


@functools.cache
def _smallest_layer(flow: Flow) -> int | None:
    """The smallest number of values per example in any batch statistic; None without batch statistics."""
    found: set[int] = set()

    def note(call: Any, arguments: Any, options: Any, method: Any) -> Any:
        result = call(*arguments, **options)
        module = method.module
        is_call = isinstance(module, Normalization) and method.method_name == "__call__" and module.scope is not None
        if is_call and "batch_stats" in module.variables:
            found.add(math.prod(arguments[0].shape[1:-1]))
        return result

    with nn.intercept_methods(note):
        jax.eval_shape(lambda: pure.fresh(flow, root_key(0)))
    return min(found, default=None)
