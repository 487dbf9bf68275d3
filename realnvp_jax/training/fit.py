"""`fit`: train any flow on an array in memory, or on a simulator."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.data.examples import Examples
from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.inputs import checked_params
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.training.optimizer import Adam, clipped, learning_rate_schedule
from realnvp_jax.training.state import initial_state
from realnvp_jax.training.steps import NonFiniteLossError, train_step, unit

_FETCH_EVERY = 50  # steps between looks at the loss

Simulator = Callable[[jax.Array, int], Any]  # (key, n) -> x, or (x, context)


def fit(
    flow: Flow,
    params: Params,
    x: jax.Array | np.ndarray | Simulator,
    key: jax.Array,
    *,
    num_steps: int,
    context: jax.Array | np.ndarray | None = None,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    schedule: str = "constant",
    clip_norm: float = 100.0,
    l2: float = 0.0,
    progress: bool = True,
) -> dict[str, Any]:
    """Maximum likelihood by Adam on the first device; returns new parameters and leaves `params` as they are.

    Args:
      flow: the flow.
      params: where to start, from `flow.init(key, x)`, which also standardizes vectors.
      x: the examples, [n, *event_shape]: integer pixels, dequantized again in every step, or continuous values. Or a
        simulator: a function (key, batch_size) -> x, or (x, context) for a conditional flow, that draws every batch
        afresh.
      key: random key of the noise, of the order of the examples, and of the simulator.
      num_steps: number of updates.
      context: what the examples are conditioned on, [n, context_size], if the flow is conditional.
      batch_size: examples per update; fewer images than that are repeated, fewer vectors refused.
      learning_rate: Adam's step size.
      schedule: of the step size: constant, or cosine to zero at the last step.
      clip_norm: bound on the global norm of the gradients of nats per example, 0 for none.
      l2: weight of the authors' penalty on gains and scales.
      progress: whether to show a progress bar.

    Raises:
      TypeError: x holds integers and the flow has no levels.
      ValueError: x has another shape than [n, *event_shape], no examples, NaN or infinite values, or pixels out of
        range; a column of vectors is constant, or there are fewer than batch_size; the context does not fit x and the
        flow; a count is not positive.
      NonFiniteLossError: the loss is not finite.
    """
    for name, count in (("num_steps", num_steps), ("batch_size", batch_size)):
        if count < 1:
            raise ValueError(f"expected {name} of at least 1; got {count}")
    if l2 and not pure.penalized(flow):
        raise ValueError(f"expected l2 of 0, since no part of this flow has a parameter that it penalizes; got {l2}")
    order_key, noise_key = jax.random.split(key)
    if callable(x):
        if context is not None:
            raise ValueError("expected the simulator to return (x, context); got a context beside it")
        draw_batch = functools.partial(_simulate, flow, x, order_key, batch_size)
        for values in draw_batch(0).values():
            check_finite(values, what="draws of the simulator")
    else:
        examples = _checked_examples(flow, x, context)
        if len(flow.event_shape) == 1 and len(examples) < batch_size:
            raise ValueError(f"expected at least batch_size={batch_size} rows; got {len(examples)}: lower batch_size")
        seed = int(jax.random.randint(order_key, (), 0, np.iinfo(np.int32).max))

        def draw_batch(step: int) -> dict[str, Any]:
            return examples.batch(batch_indices(seed, step, batch_size, len(examples)))

    optimizer = clipped(Adam(), learning_rate_schedule(learning_rate, schedule, decay_steps=num_steps), clip_norm)
    step_fn = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, l2=l2), donate_argnums=0)
    state = initial_state(jax.tree.map(jnp.array, checked_params(params)), optimizer)
    pending = []
    with tqdm(total=num_steps, unit="step", disable=not progress or None) as bar:
        for step in range(num_steps):
            state, metrics = step_fn(state, draw_batch(step), noise_key)
            pending.append(metrics)
            bar.update()
            if (step + 1) % _FETCH_EVERY == 0 or step + 1 == num_steps:
                bar.set_postfix_str(f"{_finite_mean(pending, step):.3f} {unit(flow)}")
                pending = []
    return state.params


def _checked_examples(flow: Flow, x: Any, context: Any) -> Examples:
    array = np.asarray(x)
    if array.shape[1:] != flow.event_shape or len(array) == 0:
        raise ValueError(f"expected x of shape (n, {str(flow.event_shape)[1:]} with n > 0; got {array.shape}")
    if np.issubdtype(array.dtype, np.integer):
        if flow.levels is None:
            raise TypeError(f"expected floating-point values for a flow without levels; got {array.dtype}")
        check_pixels(array, flow.levels)
    else:
        check_finite(array)
        if len(flow.event_shape) == 1:
            check_not_constant(array)
    return Examples(array, _checked_context(flow, context, len(array)))


def _checked_context(flow: Flow, context: Any, num_examples: int) -> np.ndarray | None:
    expected = (num_examples, flow.context_size)
    if context is None:
        if flow.context_size:
            raise ValueError(f"expected context of shape {expected}; got none, and this flow is conditional")
        return None
    if flow.context_size == 0:
        raise ValueError("expected no context: this flow was built without a context size")
    array = np.asarray(context, jnp.result_type(float))
    if array.shape != expected:
        raise ValueError(f"expected context of shape {expected}; got {array.shape}")
    check_finite(array)
    return array


def _simulate(flow: Flow, simulator: Simulator, key: jax.Array, batch_size: int, step: int) -> dict[str, Any]:
    """One batch of a simulator."""
    drawn = simulator(jax.random.fold_in(key, step), batch_size)
    expected = {"x": (batch_size, *flow.event_shape)}
    if flow.context_size:
        expected["context"] = (batch_size, flow.context_size)
    parts = drawn if isinstance(drawn, tuple) else (drawn,)
    got = tuple(np.shape(part) for part in parts)
    if got != tuple(expected.values()):
        raise ValueError(f"expected the simulator to return {' and '.join(expected)} of {expected}; got shapes {got}")
    batch = {name: jnp.asarray(part) for name, part in zip(expected, parts, strict=True)}
    if flow.levels is None and not jnp.issubdtype(batch["x"].dtype, jnp.floating):
        raise TypeError(f"expected floating-point values from the simulator; got {batch['x'].dtype}")
    return batch


def _finite_mean(pending: list[dict[str, jax.Array]], last_step: int) -> float:
    """Mean score since the last look; `last_step` counts from 0."""
    values = np.array([[m["score"], m["gradient_norm"]] for m in jax.device_get(pending)])
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        step = last_step - len(values) + 1 + int(np.argmin(finite)) + 1
        raise NonFiniteLossError(f"loss or gradient is not finite at step {step}: try a lower learning_rate")
    return float(values[:, 0].mean())
