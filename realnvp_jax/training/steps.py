"""One training step and one evaluation step, as pure functions of one device's share of the batch.

They run unchanged under `jit` (axis_name None), and under `pmap` or `shard_map` with check_vma=False, where
`axis_name` names the axis of devices: batch statistics, gradients and metrics are then those of the global batch. Noise
and flips depend on (key, step, position in the global batch) and never on the device.

A batch is a dict with "x", and "context" if the flow is conditional.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Num

from realnvp_jax.likelihood import bits_per_dim, log_prob_of_bits
from realnvp_jax.models import pure
from realnvp_jax.models.declared import penalized
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.training.augmentation import augment, noise_key, random_crop
from realnvp_jax.training.optimizer import global_norm, l2_penalty
from realnvp_jax.training.state import TrainState, optimizer_average

Batch = dict[str, Any]

_CPU_CHUNK = 1024


class Pass(NamedTuple):
    """What a training pass returns besides its loss.

    Attributes:
      log_prob: mean log-density of the examples in nats.
      log_scale: the largest absolute log_scale (elementwise log-derivative of a transform) of any layer; 0 without
        transforms.
      params: the parameters with the running statistics updated.
    """

    log_prob: jax.Array
    log_scale: jax.Array
    params: Params


class NonFiniteLossError(RuntimeError):
    """The loss or its gradient is not finite."""


def score(flow: Flow, log_prob: Float[Array, "..."]) -> Float[Array, "..."]:
    """The score to report: bits per dimension for discrete data, log-density in nats for continuous data."""
    return log_prob if flow.levels is None else bits_per_dim(log_prob, flow.num_dims)


def cost(flow: Flow, score: float) -> float:
    """A score as a cost, of which less is better: bits per dimension or negative nats. This is its own inverse."""
    return -score if flow.levels is None else score


def unit(flow: Flow) -> str:
    """Unit of `score`."""
    return "nats" if flow.levels is None else "bits/dim"


def loss_fn(
    trainable: Params,
    params: Params,
    x: Num[Array, "n ..."],
    context: Float[Array, "n context_size"] | None = None,
    key: jax.Array | None = None,
    indices: Int[Array, " n"] | None = None,
    *,
    flow: Flow,
    l2: float,
    axis_name: str | None,
) -> tuple[jax.Array, Pass]:
    """Mean -log_prob in nats per example plus l2 times the penalty, and what else the pass returns.

    For integer pixels, log_prob is the bound of `Flow.bits_per_dim_train`, with noise from `key` and each example's
    index, which is its position in the batch if there are no `indices`.
    """
    variables = {**params, "params": trainable}
    if jnp.issubdtype(x.dtype, jnp.integer):
        assert key is not None  # pixels are dequantized with noise
        indices = pure.positions(x.shape[0], axis_name) if indices is None else indices
        bits, params, log_scales = pure.bits_per_dim_train(flow, variables, key, indices, x, context, axis_name)
        log_prob = log_prob_of_bits(bits, flow.num_dims).mean()
    else:
        log_probs, params, log_scales = pure.log_prob_train(flow, variables, x, context, axis_name)
        log_prob = log_probs.mean()
    penalty = l2_penalty(trainable, penalized(flow)) if l2 else 0.0
    largest = [jnp.max(leaf) for leaf in jax.tree.leaves(log_scales)]
    log_scale = jnp.max(jnp.stack(largest)) if largest else jnp.zeros_like(log_prob)
    return -log_prob + l2 * penalty, Pass(log_prob, log_scale, params)


def _gradients(
    params: Params,
    batch: Batch,
    key: jax.Array,
    accumulate: int = 1,
    *,
    flow: Flow,
    l2: float,
    axis_name: str | None,
) -> tuple[Params, Pass]:
    """Gradient of `loss_fn`, and what it returns besides the loss.

    It is the mean of the gradients of `accumulate` parts of the batch, one after the other, so that activations take
    the memory of one part. Batch statistics are those of a part; the running ones move by the mean over the parts.
    """
    gradient_fn = jax.grad(loss_fn, has_aux=True)

    def gradient(batch: Batch):
        arguments = params["params"], params, batch["x"], batch.get("context"), key, batch["index"]
        return gradient_fn(*arguments, flow=flow, l2=l2, axis_name=axis_name)

    count = max(accumulate, _cpu_chunks(flow, params, batch) if accumulate == 1 else 1)
    if count == 1:
        return gradient(batch)
    parts = jax.tree.map(lambda values: values.reshape((count, -1, *values.shape[1:])), batch)

    def averaged(part: Batch):
        gradients, (log_prob, log_scale, updated) = gradient(part)
        return (gradients, log_prob, updated["batch_stats"]), log_scale

    def add(total, part):
        values, log_scale = averaged(part)
        return jax.tree.map(jnp.add, total, values), log_scale

    shapes, _ = jax.eval_shape(averaged, jax.tree.map(lambda values: values[0], parts))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, log_scales = jax.lax.scan(add, zeros, parts)
    gradients, log_prob, statistics = jax.tree.map(lambda values: values / count, total)
    return gradients, Pass(log_prob, log_scales.max(), {**params, "batch_stats": statistics})


def _cpu_chunks(flow: Flow, params: Params, batch: Batch) -> int:
    """Number of parts that make a step on a CPU faster, if examples are independent of each other.

    The values that reverse mode keeps then stay in the cache, instead of in pages that the operating system has to
    supply again in every step (8,192 points took 157 ms in one part, 93 ms in eight).
    """
    size = math.gcd(len(batch["x"]), _CPU_CHUNK)
    is_independent = len(flow.event_shape) == 1 and not params.get("batch_stats")
    if jax.default_backend() != "cpu" or not is_independent or size < 256:
        return 1
    return len(batch["x"]) // size


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    flow: Flow,
    optimizer: optax.GradientTransformation,
    l2: float = 0.0,
    flip: bool = False,
    shift: int = 0,
    noise: np.ndarray | None = None,
    ema_decay: float = 0.0,
    accumulate: int = 1,
    skip_nonfinite: bool = False,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update from this device's examples.

    Args:
      state: the state, the same on every device.
      batch: this device's examples, "x" of shape [n, *event]; integers are augmented and dequantized, and larger images
        cropped at random.
      key: root key of the run; this function folds the step in.
      flow: the flow.
      optimizer: transformation of the gradients of the trainable parameters.
      l2: weight of the authors' penalty, on nats per example.
      flip: whether images are mirrored at random.
      shift: pixels by which images are moved at random, at most, in both directions.
      noise: standard deviations of Gaussian noise on vectors, one per column, or None.
      ema_decay: decay of the moving average of the parameters, 0 for none, warmed up as (1 + t) / (10 + t).
      accumulate: number of equal parts of this device's examples whose gradients are computed one after the other.
      skip_nonfinite: whether an update that is not finite, or whose loss or gradient is not, only counts.
      axis_name: axis of devices that share the batch.

    Returns:
      The next state, and metrics: `score` of the batch in training mode, the norms of the gradient before clipping, of
      the update, and of the trainable parameters after it, and the largest absolute log_scale of any layer.
    """
    key = jax.random.fold_in(key, state.step)
    indices = pure.positions(batch["x"].shape[0], axis_name)
    x = augment(key, indices, batch["x"], flip=flip, shift_pixels=shift, noise=noise, shape=flow.event_shape)
    examples = {**batch, "x": x, "index": indices}
    gradients, (log_prob, log_scale, params) = _gradients(
        state.params, examples, noise_key(key), accumulate, flow=flow, l2=l2, axis_name=axis_name
    )
    if axis_name is not None:
        gradients, log_prob = jax.lax.pmean((gradients, log_prob), axis_name)
        log_scale = jax.lax.pmax(log_scale, axis_name)
    with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats by integer counts
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params["params"])
    norm = global_norm(gradients)
    params = {**params, "params": _unless_diverged(norm, updates, state.params["params"])}
    ema = optimizer_average(opt_state, params)
    if ema_decay:
        step = state.step.astype(jnp.float32)
        decay = jnp.minimum(ema_decay, (1 + step) / (10 + step))
        ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
    update_norm = global_norm(updates)
    next_state = TrainState(step=state.step + 1, params=params, opt_state=opt_state, ema=ema)
    if skip_nonfinite:
        is_finite = jnp.isfinite(log_prob) & jnp.isfinite(norm) & jnp.isfinite(update_norm)
        old = TrainState(state.step + 1, state.params, state.opt_state, state.ema)
        next_state = jax.tree.map(
            # counts go on, so that the learning rate follows the step
            lambda new, old: new if jnp.issubdtype(new.dtype, jnp.integer) else jnp.where(is_finite, new, old),
            next_state,
            old,
        )
    metrics = {
        "score": score(flow, log_prob),
        "gradient_norm": norm,
        "update_norm": update_norm,
        "parameter_norm": global_norm(next_state.params["params"]),
        "log_scale": log_scale,
    }
    return next_state, metrics


def _unless_diverged(norm: jax.Array, updates: optax.Updates, trainable: Params) -> Any:
    """The updated parameters; the old ones if the gradient is not finite, in which one can see why."""
    updated = optax.apply_updates(trainable, updates)
    return jax.tree.map(lambda new, old: jnp.where(jnp.isfinite(norm), new, old), updated, trainable)


def train_steps(
    state: TrainState, batches: Batch, key: jax.Array, count: jax.Array, **options: Any
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The first `count` of several updates, one after the other without returning to the host.

    Args:
      state: the state, the same on every device.
      batches: this device's examples, with a leading axis for the updates.
      key: root key of the run.
      count: number of updates to make.
      **options: options of `train_step`.

    Returns:
      The state after the last, and the metrics of each, with a leading axis for the updates.
    """
    shapes = jax.eval_shape(lambda: train_step(state, jax.tree.map(lambda v: v[0], batches), key, **options)[1])
    size = len(batches["x"])
    metrics = jax.tree.map(lambda leaf: jnp.zeros((size, *leaf.shape), leaf.dtype), shapes)

    def update(i: jax.Array, carry: tuple[TrainState, dict[str, jax.Array]]):
        state, metrics = carry
        state, latest = train_step(state, jax.tree.map(lambda values: values[i], batches), key, **options)
        return state, jax.tree.map(lambda all_values, value: all_values.at[i].set(value), metrics, latest)

    return jax.lax.fori_loop(0, count, update, (state, metrics))


def eval_step(
    params: Params,
    batch: Batch,
    key: jax.Array,
    *,
    flow: Flow,
    train_mode: bool = False,
    num_samples: int = 1,
    axis_name: str | None = None,
) -> Float[Array, " global_n"]:
    """`score` of every example of the global batch, in evaluation mode unless `train_mode`.

    Args:
      params: parameters.
      batch: this device's examples, with "index", each example's index in its split, which determines its noise.
      key: root key of the evaluation's noise.
      flow: the flow.
      train_mode: normalize by the statistics of the batch instead of the running ones, and apply dropout.
      num_samples: number of dequantizations in the importance-weighted bound on images, in evaluation mode.
      axis_name: axis of devices that share the batch.
    """
    x, context = batch["x"], batch.get("context")
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = random_crop(key, batch["index"], x, flow.event_shape)
        if train_mode:
            scores, *_ = pure.bits_per_dim_train(flow, params, key, batch["index"], x, context, axis_name)
        else:
            scores = pure.bits_per_dim(flow, params, key, batch["index"], x, context, num_samples)
    elif train_mode:
        log_prob, _ = flow.log_prob_train(params, x, context, axis_name=axis_name)
        scores = score(flow, log_prob)
    else:
        scores = score(flow, flow.log_prob(params, x, context))
    return scores if axis_name is None else jax.lax.all_gather(scores, axis_name, tiled=True)
