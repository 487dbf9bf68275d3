"""`fit`: train any flow on an array in memory."""

import functools
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from realnvp_jax.data.batches import batch_indices
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.training.optimizer import create_optimizer
from realnvp_jax.training.state import initial_state
from realnvp_jax.training.steps import NonFiniteLossError, train_step, unit

_FETCH_EVERY = 50  # steps between looks at the loss


def fit(
    flow: Flow,
    params: Params,
    x: jax.Array | np.ndarray,
    key: jax.Array,
    *,
    num_steps: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    clip_norm: float = 100.0,
    l2: float = 0.0,
    progress: bool = True,
) -> dict[str, Any]:
    """Maximum likelihood by Adam on the first device; returns new parameters and leaves `params` as they are.

    Args:
      flow: the flow.
      params: where to start, from `flow.init(key, x)`.
      x: the examples, [n, *event_shape]: integer pixels, dequantized anew in every step, or continuous values.
      key: random key of the noise and of the order of the examples.
      num_steps: number of updates.
      batch_size: examples per update; fewer examples than that are repeated.
      learning_rate: Adam's step size.
      clip_norm: bound on the global norm of the gradients of nats per example, 0 for none.
      l2: weight of the authors' penalty on gains and scales.
      progress: whether to show a progress bar.

    Raises:
      TypeError: x holds integers and the flow has no levels.
      ValueError: x has another shape than [n, *event_shape], no examples, or pixels out of range; the flow is
        conditional; a count is not positive.
      NonFiniteLossError: the loss is not finite.
    """
    if flow.context_size:
        raise ValueError("expected an unconditional flow; this one needs a context, write the loop with log_prob_train")
    for name, count in (("num_steps", num_steps), ("batch_size", batch_size)):
        if count < 1:
            raise ValueError(f"expected {name} of at least 1; got {count}")
    examples = np.asarray(x)
    if examples.shape[1:] != flow.event_shape or len(examples) == 0:
        raise ValueError(f"expected x of shape (n, {str(flow.event_shape)[1:]} with n > 0; got {examples.shape}")
    if np.issubdtype(examples.dtype, np.integer):
        if flow.levels is None:
            raise TypeError(f"expected floating-point values for a flow without levels; got {examples.dtype}")
        check_pixels(examples, flow.levels)
    order_key, noise_key = jax.random.split(key)
    seed = int(jax.random.randint(order_key, (), 0, np.iinfo(np.int32).max))
    optimizer = create_optimizer(learning_rate, clip_norm=clip_norm)
    step_fn = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, l2=l2))
    state = initial_state(dict(params), optimizer)
    pending = []
    with tqdm(total=num_steps, unit="step", disable=not progress or None) as bar:
        for step in range(num_steps):
            batch = examples[batch_indices(seed, step, batch_size, len(examples))]
            state, metrics = step_fn(state, batch, noise_key)
            pending.append(metrics)
            bar.update()
            if (step + 1) % _FETCH_EVERY == 0 or step + 1 == num_steps:
                bar.set_postfix_str(f"{_finite_mean(pending, step):.3f} {unit(flow)}")
                pending = []
    return state.params


def _finite_mean(pending: list[dict[str, jax.Array]], last_step: int) -> float:
    """Mean score since the last look; `last_step` counts from 0."""
    values = np.array([[m["score"], m["gradient_norm"]] for m in jax.device_get(pending)])
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        step = last_step - len(values) + 1 + int(np.argmin(finite)) + 1
        raise NonFiniteLossError(f"loss or gradient is not finite at step {step}: try a lower learning_rate")
    return float(values[:, 0].mean())
