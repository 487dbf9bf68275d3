"""Training passes through a stack of couplings, which differ in what they keep for the backward pass.

`forward_keeping` keeps what a policy says of every coupling and computes the rest again.

`forward_keeping_the_end` keeps the last latent, and of every coupling the two vectors of statistics that normalised it:
memory that does not grow with their number. Its backward pass goes from the last coupling to the first. Of each it
knows the output z:

    raw = conditioner(z_i)                                   the identity half is the input's own: nothing is lost
    x_t = transform^-1(denormalise(z_t; statistics); raw)

so it has the input, and takes the gradients there, from the very evaluation of the conditioner that gave raw. The
price is one more evaluation of every conditioner, four for three, and the rounding of the inverse. (Gomez et al., The
Reversible Residual Network, 2017, for residual networks.)

Both are pure functions of the stacked variables, in reverse mode only, and return (z, log_det, updated running
statistics). Their arguments are

    coupling    one of the couplings, not bound to variables
    trainable   parameters of all, with a leading axis
    running     running statistics of all, with a leading axis
    x, context  the input of the first, and what the density is conditioned on
    parities    of the couplings' masks
    axis_name   axis of devices that share the batch
    unroll      one coupling after the other instead of a loop
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from realnvp_jax.bijections.coupling import Coupling

Result = tuple[Float[Array, "n *event"], Float[Array, " n"], Any]


def forward_keeping(
    coupling: Coupling,
    trainable: Any,
    running: Any,
    x: Float[Array, "n *event"],
    context: Float[Array, "n context_size"] | None,
    parities: Int[np.ndarray, " layers"],
    *,
    axis_name: str | None,
    unroll: bool,
    keep: Callable[..., bool],
) -> Result:
    """A pass that keeps what the policy `keep` (jax.checkpoint_policies) says."""

    def step(carry, layer):
        x, log_det = carry
        trainable, running, parity = layer
        variables = {"params": trainable, "batch_stats": running}
        options: dict[str, Any] = {"method": "forward", "mutable": ["batch_stats"], "parity": parity}
        (x, layer_log_det), updated = coupling.apply(variables, x, context, train=True, axis_name=axis_name, **options)
        return (x, log_det + layer_log_det), dict(updated).get("batch_stats", {})

    (z, log_det), updated = jax.lax.scan(
        jax.checkpoint(step, policy=keep, prevent_cse=unroll),
        (x, jnp.zeros_like(x, shape=x.shape[:1])),
        (trainable, running, parities),
        unroll=len(parities) if unroll else 1,
    )
    return z, log_det, updated


def forward_keeping_the_end(
    coupling: Coupling,
    trainable: Any,
    running: Any,
    x: Float[Array, "n *event"],
    context: Float[Array, "n context_size"] | None,
    parities: Int[np.ndarray, " layers"],
    *,
    axis_name: str | None,
    unroll: bool,
) -> Result:
    """A pass that keeps the end."""
    options: dict[str, Any] = {"train": True, "axis_name": axis_name}
    trips = len(parities) if unroll else 1

    def apply(variables, *arguments, method, parity, **keywords) -> tuple[Any, Any]:
        return coupling.apply(variables, *arguments, method=method, parity=parity, mutable=["batch_stats"], **keywords)

    def forward(trainable, running, x, context):
        def step(carry, layer):
            x, log_det = carry
            trainable, running, parity = layer
            mask = coupling.mask.with_parity(parity)
            identity, transformed = mask.split(x)
            variables = {"params": trainable, "batch_stats": running}
            raw, first = apply(variables, identity, x.shape, context, method="parameters", parity=parity, **options)
            variables = {"params": trainable, "batch_stats": {**running, **first.get("batch_stats", {})}}
            (transformed, layer_log_det, used), second = apply(
                variables, transformed, raw, method="transform_half", parity=parity, **options
            )
            z = mask.merge(identity, transformed)
            return (z, log_det + layer_log_det), (second.get("batch_stats", {}), used)

        start = x, jnp.zeros_like(x, shape=x.shape[:1])
        (z, log_det), (updated, used) = jax.lax.scan(step, start, (trainable, running, parities), unroll=trips)
        return (z, log_det, updated), (trainable, running, context, z, used)

    def backward(residuals, cotangents):
        trainable, running, context, z, used = residuals
        z_bar, log_det_bar, _ = cotangents  # nothing flows back from running statistics

        def step(carry, layer):
            z, z_bar, context_bar = carry
            trainable, running, parity, used = layer
            mask = coupling.mask.with_parity(parity)

            def parameters(trainable, identity, context):
                variables = {"params": trainable, "batch_stats": running}
                return apply(variables, identity, z.shape, context, method="parameters", parity=parity, **options)[0]

            def transform_half(trainable, transformed, raw):
                variables = {"params": trainable, "batch_stats": running}
                value, _ = apply(variables, transformed, raw, method="transform_half", parity=parity, **options)
                return value[:2]

            identity, transformed = mask.split(z)
            raw, parameters_vjp = jax.vjp(parameters, trainable, identity, context)
            (transformed, _), _ = apply(
                {"params": trainable}, transformed, raw, used, method="transform_half_back", parity=parity
            )
            transformed = mask.only_transformed(transformed)
            _, transform_vjp = jax.vjp(transform_half, trainable, transformed, raw)
            identity_bar, transformed_bar = mask.split(z_bar)
            of_transform, transformed_bar, raw_bar = transform_vjp((transformed_bar, log_det_bar))
            of_conditioner, from_conditioner, layer_context_bar = parameters_vjp(raw_bar)
            x_bar = mask.merge(identity_bar + from_conditioner, transformed_bar)
            context_bar = jax.tree.map(jnp.add, context_bar, layer_context_bar)
            trainable_bar = jax.tree.map(jnp.add, of_transform, of_conditioner)
            return (mask.merge(identity, transformed), x_bar, context_bar), trainable_bar

        start = z, z_bar, jax.tree.map(jnp.zeros_like, context)
        layers = trainable, running, parities, used
        (_, x_bar, context_bar), trainable_bar = jax.lax.scan(step, start, layers, reverse=True, unroll=trips)
        return trainable_bar, jax.tree.map(jnp.zeros_like, running), x_bar, context_bar

    run = jax.custom_vjp(lambda *arguments: forward(*arguments)[0])
    run.defvjp(forward, backward)
    return run(trainable, running, x, context)
