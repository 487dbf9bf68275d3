"""The state that training carries from step to step, which is what a checkpoint holds."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from flax import struct

from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow

_NOISE = 0x6E6F6973  # distinct from the numbers that Flax folds keys with


@struct.dataclass
class TrainState:
    """The whole state of a run: with the seed and the step, it determines everything that follows.

    Attributes:
      step: number of updates made so far, int32.
      params: {"params": trainable, "batch_stats": running statistics, ...}, everything that the flow needs.
      opt_state: the optimizer's state, over the trainable parameters.
      ema: average of `params` to evaluate: an exponential moving average that includes statistics, or the average that
        the optimizer keeps, with the statistics of `params`; {} if there is none.
    """

    step: jax.Array
    params: dict[str, Any]
    opt_state: optax.OptState
    ema: dict[str, Any]


def create_state(
    flow: Flow,
    key: jax.Array,
    optimizer: optax.GradientTransformation,
    ema_decay: float = 0.0,
    x: jax.Array | None = None,
    context: jax.Array | None = None,
) -> TrainState:
    """The state before the first step: fresh parameters, initialized from data as by `flow.init`, and their average.

    Integer pixels x are made continuous by the flow's own dequantizer, as in training.
    """
    if x is None or not jnp.issubdtype(x.dtype, jnp.integer):
        return initial_state(flow.init(key, x, context), optimizer, ema_decay)
    indices = jnp.arange(x.shape[0])
    noise_key = jax.random.fold_in(key, _NOISE)
    params = pure.init_from_pixels(flow, flow.init(key), noise_key, indices, jnp.asarray(x), context)
    return initial_state(params, optimizer, ema_decay)


def initial_state(
    params: dict[str, Any], optimizer: optax.GradientTransformation, ema_decay: float = 0.0
) -> TrainState:
    """The state before the first step, for given parameters."""
    opt_state = optimizer.init(params["params"])
    is_averaged = ema_decay or optimizer_average(opt_state, params)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=opt_state,
        ema=jax.tree.map(jnp.copy, params) if is_averaged else {},
    )


def optimizer_average(opt_state: optax.OptState, params: dict[str, Any]) -> dict[str, Any]:
    """`params` with the average of the trainable ones that optax.contrib.schedule_free keeps; {} without it."""

    def keeps_average(node: Any) -> bool:
        return isinstance(node, optax.contrib.ScheduleFreeState)

    states = [node for node in jax.tree.leaves(opt_state, is_leaf=keeps_average) if keeps_average(node)]
    if not states:
        return {}
    return {**params, "params": optax.contrib.schedule_free_eval_params(states[0], params["params"])}


def evaluation_params(state: TrainState) -> dict[str, Any]:
    """The parameters to evaluate: their average if there is one."""
    return state.ema or state.params
