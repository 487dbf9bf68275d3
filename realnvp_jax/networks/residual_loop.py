"""The residual blocks of a training pass, as a loop whose gradients are written out.

    u = first(stream),    out <- out + skip(stream),    stream <- stream + second(u)

Of every block its stream and u, the output of a 3x3 convolution, are kept. Normalisations and relus in front of the
convolutions are computed again, block by block, from the last to the first. What is kept has the name KEPT, so that a
loop over whole conditioners can keep just this and compute the rest again too.
"""

from typing import Any, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

KEPT = "kept for the gradients"

Stream = Float[Array, "n height width channels"]


class Block(Protocol):
    """A residual block in its two parts."""

    PARTS: tuple[tuple[str, ...], tuple[str, ...]]  # names of the layers of each part

    def first(self, stream: Stream, *, train: bool, axis_name: str | None) -> tuple[Stream, Stream]:
        """(u, what the skip connection adds to the output)."""
        ...

    def second(self, u: Stream, *, train: bool, axis_name: str | None) -> Stream:
        """What is added to the stream."""
        ...


def loop_over_blocks(
    block: nn.Module, stream: Stream, *, axis_name: str | None, unroll: int
) -> tuple[tuple[Stream, Stream], Any]:
    """((stream, out) behind the last block, updated running statistics) in training mode; reverse mode only, once.

    Args:
      block: a `Block`, bound to variables with a leading axis for the block.
      stream: input of the first block.
      axis_name: axis of devices that share the batch.
      unroll: blocks in one trip of the loop.
    """
    module, variables = block.unbind()
    options = {"train": True, "axis_name": axis_name, "mutable": ["batch_stats"]}
    parts = module.PARTS  # pyright: ignore[reportAttributeAccessIssue]

    def apply(part, params, running, value) -> tuple[Any, Any]:
        """(outputs, updated statistics) of one part."""
        mine = {"params": params, "batch_stats": {name: running[name] for name in parts[part] if name in running}}
        result, updated = module.apply(mine, value, method=("first", "second")[part], **options)
        return result, dict(updated).get("batch_stats", {})

    def of_part(part, tree):
        return {name: tree[name] for name in parts[part]}

    def forward(params, running, stream):
        def step(carry, layer):
            stream, out = carry
            params, running = layer
            (u, skip), statistics = apply(0, of_part(0, params), running, stream)
            residual, more = apply(1, of_part(1, params), running, u)
            return (stream + residual, out + skip), (stream, u, {**statistics, **more})

        carry, (streams, us, updated) = jax.lax.scan(
            step, (stream, jnp.zeros_like(stream)), (params, running), unroll=unroll
        )
        kept = checkpoint_name(streams, KEPT), checkpoint_name(us, KEPT)
        return (carry, updated), (params, running, *kept)

    def backward(residuals, cotangents):
        (stream_bar, out_bar), _ = cotangents  # nothing flows back from running statistics

        def step(stream_bar, layer):
            params, running, stream, u = layer
            _, second_vjp = jax.vjp(lambda params, u: apply(1, params, running, u)[0], of_part(1, params), u)
            of_second, u_bar = second_vjp(stream_bar)
            _, first_vjp = jax.vjp(lambda params, x: apply(0, params, running, x)[0], of_part(0, params), stream)
            of_first, through = first_vjp((u_bar, out_bar))
            return stream_bar + through, {**of_first, **of_second}

        stream_bar, params_bar = jax.lax.scan(step, stream_bar, residuals, reverse=True, unroll=unroll)
        return params_bar, jax.tree.map(jnp.zeros_like, residuals[1]), stream_bar

    run = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
    run.defvjp(forward, backward)
    return run(variables["params"], variables.get("batch_stats", {}), stream)
