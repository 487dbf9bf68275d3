"""What a flow computes, as compiled pure functions of checked arrays: x is [n, *event], context [n, width] or None.

`realnvp_jax.models.flow.Flow` is their public interface; the argument `flow` is a static `Flow`. The variables of a
learned dequantizer are stored beside those of the bijection, under the name "dequantizer".
"""

import contextlib
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from realnvp_jax import likelihood
from realnvp_jax.checks import check_returned
from realnvp_jax.mode import EVALUATE, INITIALIZE, TRAIN, Mode
from realnvp_jax.networks.loop import LOG_SCALES
from realnvp_jax.preprocessing import Logit
from realnvp_jax.random import root_key

DEQUANTIZER = "dequantizer"
_DROPOUT = 0x64726F70  # distinct from the indices of examples, which the key is folded with for their noise
_SET_FROM_DATA = ("params", "standardization")  # the collections that an initialization pass may write
Variables = Mapping[str, Any]


def precision(mode: Mode) -> Any:
    """A context with full precision except in training: by default, GPUs and TPUs round the factors."""
    return contextlib.nullcontext() if mode.trains else jax.default_matmul_precision("highest")


def _apply(
    flow: Any, variables: Variables, *arguments: Any, method: str, mode: Mode = EVALUATE, mutable: Any = ()
) -> tuple[Any, Any]:
    """(result, updated collections) of a method of the bijection."""
    if method == "forward":
        arguments = (*arguments, mode)
    with _explaining_wrong_params(flow, variables), precision(mode):
        return flow.bijection.apply(_promoted(variables), *arguments, method=method, mutable=list(mutable))


def _promoted(variables: Variables) -> dict[str, Any]:
    """The variables in float32 at least: in half precision, the map and its log-determinant would not fit together."""

    def promote(leaf: Any) -> Any:
        dtype = jnp.result_type(leaf)
        is_half = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
        return leaf.astype(jnp.float32) if is_half else leaf

    return jax.tree.map(promote, dict(variables))


def _map(
    flow: Any, variables: Variables, x, context, *, method: str, mode: Mode = EVALUATE, mutable: Any = ()
) -> tuple[Any, Any]:
    """((value, log_det), updated collections) of the bijection's forward or inverse."""
    (value, log_det), updates = _apply(flow, variables, x, context, method=method, mode=mode, mutable=mutable)
    check_returned(flow.bijection, f"values by {method}", value, x.shape)
    check_returned(flow.bijection, f"log_det by {method}", log_det, x.shape[:1])
    return (value, log_det), updates


def _base_log_prob(flow: Any, z: Array) -> Array:
    """Log-density of latents under the base, [n]."""
    log_density = flow.base.log_density(z)
    check_returned(flow.base, "the log-density of every element", log_density, z.shape)
    return _sum_event(log_density)


@contextlib.contextmanager
def _explaining_wrong_params(flow: Any, variables: Variables) -> Iterator[None]:
    """If the body fails and the variables belong to another flow, raise a ValueError that says so."""
    try:
        yield
    except Exception as error:
        difference = _difference(flow, variables)
        if difference is None:
            raise
        raise ValueError(
            f"expected parameters of this flow, as init, load or from_authors make them; got {difference}"
        ) from error


def _difference(flow: Any, variables: Variables) -> str | None:
    """How the names and shapes of variables differ from those that `init` makes; None if they do not."""

    def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
        flat: dict[str, Any] = dict(flax.traverse_util.flatten_dict(dict(tree), sep="/"))
        return {name: tuple(np.shape(leaf)) for name, leaf in flat.items()}

    expected, got = shapes(jax.eval_shape(lambda: fresh(flow, root_key(0)))), shapes(variables)
    for name, shape in expected.items():
        if name not in got:
            return f"none called {name!r}"
        if got[name] != shape:
            return f"{name!r} of shape {got[name]} instead of {shape}"
    return None


def _sum_event(x: Float[Array, "n *event"]) -> Float[Array, " n"]:
    return jnp.sum(x, axis=tuple(range(1, x.ndim)))


def _one_context(flow: Any) -> Any:
    shape = (1, flow.context_size)
    return jax.ShapeDtypeStruct(shape, jnp.result_type(float)) if flow.context_size else None


def fresh_bijection(flow: Any, key) -> Any:
    """Fresh variables of the bijection."""
    event = jax.ShapeDtypeStruct((1, *flow.event_shape), jnp.result_type(float))
    return flow.bijection.lazy_init(key, event, _one_context(flow), method="forward")


def fresh_dequantizer(flow: Any, key) -> Any:
    """Fresh variables of a learned dequantizer."""
    pixels = jax.ShapeDtypeStruct((1, *flow.event_shape), jnp.uint8)
    indices = jax.ShapeDtypeStruct((1,), jnp.int32)
    return flow.dequantizer.lazy_init(jax.random.fold_in(key, 1), pixels, key, indices, _one_context(flow))


def fresh(flow: Any, key):
    """Fresh variables, not yet initialized from data."""
    variables = fresh_bijection(flow, key)
    variables = {"params": {}, "batch_stats": {}, **variables}
    if not flow.dequantizer.is_learned:
        return variables
    learned = fresh_dequantizer(flow, key)
    return {
        name: {**variables.get(name, {}), **({DEQUANTIZER: learned[name]} if name in learned else {})}
        for name in {**variables, **learned}
    }


init = functools.partial(jax.jit, static_argnums=0)(fresh)


@functools.partial(jax.jit, static_argnums=0)
def init_from_data(flow: Any, variables, x, context):
    """The variables, with everything that is initialized from data set from x."""
    y, _ = flow.preprocessing.forward(x)
    _, updates = _apply(
        flow, variables, y, context, method="forward", mode=INITIALIZE, mutable=(*_SET_FROM_DATA, "batch_stats")
    )
    return {**variables, **{name: updates[name] for name in _SET_FROM_DATA if name in updates}}


@functools.partial(jax.jit, static_argnums=0)
def init_from_pixels(flow: Any, variables, key, indices, x, context):
    """`init_from_data` with pixels, which the flow's own dequantizer makes continuous, as in training."""
    (y, _), updates = dequantize(flow, variables, key, indices, x, context, INITIALIZE)
    variables = {**variables, **{name: updates[name] for name in _SET_FROM_DATA if name in updates}}
    return init_from_data(flow, variables, y, context)


def dequantize(flow: Any, variables: Variables, key, indices, x, context, mode: Mode = EVALUATE):
    """((y, log q(y | x)), updated collections) of the flow's dequantizer."""
    mine = {name: tree[DEQUANTIZER] for name, tree in variables.items() if DEQUANTIZER in tree}
    mutable = [*(_SET_FROM_DATA if mode.initializes else ()), *(["batch_stats"] if mode.uses_batch_statistics else ())]
    explaining = _explaining_wrong_params(flow, variables) if flow.dequantizer.is_learned else contextlib.nullcontext()
    with explaining, precision(mode):
        value, updates = flow.dequantizer.apply(_promoted(mine), x, key, indices, context, mode, mutable=mutable)
    y, log_q = value
    check_returned(flow.dequantizer, "continuous values", y, x.shape)
    check_returned(flow.dequantizer, "log q(y | x)", log_q, x.shape[:1])
    return value, {name: {**variables[name], DEQUANTIZER: tree} for name, tree in updates.items() if name in mine}


@functools.partial(jax.jit, static_argnums=0)
def dequantized(flow: Any, variables, key, indices, x, context):
    """The continuous values alone, in evaluation mode."""
    return dequantize(flow, variables, key, indices, x, context)[0][0]


def _density(flow: Any, variables: Variables, x, context, mode: Mode = EVALUATE):
    """(log_prob, updated variables, and those of LOG_SCALES in a training pass) of x of shape [n, *event]."""
    contained = flow.preprocessing.contains(x)
    y, derivative = flow.preprocessing.forward(jnp.where(contained, x, flow.preprocessing.interior_point()))
    mutable = ["batch_stats", LOG_SCALES] if mode.trains else []
    (z, log_det), updates = _map(flow, variables, y, context, method="forward", mode=mode, mutable=mutable)
    log_prob = _base_log_prob(flow, z) + log_det + _sum_event(derivative)
    axes = tuple(range(1, x.ndim))
    log_prob = jnp.where(contained.all(axes), log_prob, -jnp.inf)
    log_scales = updates.get(LOG_SCALES, {})
    updated = {name: {**variables, **updates}[name] for name in variables}
    return jnp.where(jnp.isnan(x).any(axes), jnp.nan, log_prob), updated, log_scales


@functools.partial(jax.jit, static_argnums=0)
def log_prob(flow: Any, variables, x, context):
    """Log-density in evaluation mode."""
    return _density(flow, variables, x, context)[0]


@functools.partial(jax.jit, static_argnums=(0, 4))
def log_prob_train(flow: Any, variables, x, context, axis_name):
    """Log-density under the statistics of the batch, variables with the running ones updated, and the log_scales."""
    return _density(flow, variables, x, context, TRAIN.over(axis_name))


@functools.partial(jax.jit, static_argnums=0)
def forward(flow: Any, variables, x, context):
    """(z, log |det dz/dx|)."""
    y, derivative = flow.preprocessing.forward(x)
    (z, log_det), _ = _map(flow, variables, y, context, method="forward")
    return z, log_det + _sum_event(derivative)


def _invert(flow: Any, variables, z, context):
    """(x, log |det dx/dz|, y), y being what the preprocessing takes to x."""
    (y, log_det), _ = _map(flow, variables, z, context, method="inverse")
    x, derivative = flow.preprocessing.inverse(y)
    return x, log_det + _sum_event(derivative), y


@functools.partial(jax.jit, static_argnums=0)
def inverse(flow: Any, variables, z, context):
    """(x, log |det dx/dz|)."""
    return _invert(flow, variables, z, context)[:2]


def _draw_latents(flow: Any, key, batch, temperature) -> Array:
    z = flow.base.sample(key, (math.prod(batch), *flow.event_shape))
    return jnp.asarray(temperature, z.dtype) * z


@functools.partial(jax.jit, static_argnums=(0, 3))
def sample(flow: Any, variables, key, batch, context, temperature):
    """Draws, [n, *event]."""
    return _invert(flow, variables, _draw_latents(flow, key, batch, temperature), context)[0]


def sample_and_log_prob(flow: Any, variables, key, batch, context, temperature):
    """`sample`, and the draws' log-densities at temperature 1.

    One inverse pass gives both, except for draws so close to the ends of the support of their pixels that rounding
    moves them: their density is evaluated.
    """
    x, log_prob_of_draws, is_coarse = _sample_and_log_prob(flow, variables, key, batch, context, temperature)
    if is_coarse is None:
        return x, log_prob_of_draws

    def evaluated() -> Array:
        return jnp.where(is_coarse, log_prob(flow, variables, x, context), log_prob_of_draws)

    if isinstance(is_coarse, Tracer):
        return x, jax.lax.cond(is_coarse.any(), evaluated, lambda: log_prob_of_draws)
    return x, evaluated() if jax.device_get(is_coarse.any()) else log_prob_of_draws


@functools.partial(jax.jit, static_argnums=(0, 3))
def _sample_and_log_prob(flow: Any, variables, key, batch, context, temperature):
    """(x, log p(x), which draws are too close to the ends of the support; None if none can be)."""
    z = _draw_latents(flow, key, batch, temperature)
    x, log_det, y = _invert(flow, variables, z, context)
    log_q = _base_log_prob(flow, z) - log_det
    if not isinstance(flow.preprocessing, Logit):
        return x, log_q, None
    return x, log_q, flow.preprocessing.is_coarse(y).any(tuple(range(1, y.ndim)))


@functools.partial(jax.jit, static_argnums=(0, 6))
def bits_per_dim(flow: Any, variables, key, indices, x, context, num_samples):
    """Importance-weighted bound with K = num_samples dequantizations; an example's noise depends on its index."""
    keys = jax.random.split(key, num_samples) if num_samples > 1 else key[None]

    def sample(key):
        return dequantize(flow, variables, key, indices, x, context)[0]

    y, log_q = jax.vmap(sample)(keys)
    repeat = None if context is None else jnp.tile(context, (num_samples, 1))
    log_p = log_prob(flow, variables, y.reshape((-1, *flow.event_shape)), repeat).reshape(log_q.shape)
    return likelihood.bits_per_dim(likelihood.log_mean_exp(log_p - log_q), flow.num_dims)


@functools.partial(jax.jit, static_argnums=(0, 6))
def bits_per_dim_train(flow: Any, variables, key, indices, x, context, axis_name):
    """(bits/dim of one dequantization, variables with running statistics updated, log_scales) in training mode."""
    mode = TRAIN.over(axis_name).drawing(jax.random.fold_in(key, _DROPOUT), indices)
    (y, log_q), updates = dequantize(flow, variables, key, indices, x, context, mode.at(0))
    log_p, variables, log_scales = _density(flow, {**variables, **updates}, y, context, mode.at(1))
    return likelihood.bits_per_dim(log_p - log_q, flow.num_dims), variables, log_scales


def positions(num_local: int, axis_name: str | None = None) -> jax.Array:
    """Positions of this device's examples in the global batch, over the devices of `axis_name`, if any."""
    local = jnp.arange(num_local)
    return local if axis_name is None else jax.lax.axis_index(axis_name) * num_local + local


def count_parameters(flow: Any) -> int:
    """Number of trainable parameters of a flow, without making them."""
    shapes = jax.eval_shape(lambda: fresh(flow, root_key(0)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))
