"""One training step and one evaluation step, as pure functions of one device's share of the batch.

They run unchanged under `jit` (axis_name None), and under `pmap` or `shard_map` with check_vma=False, where
`axis_name` names the axis of devices: batch statistics, gradients and metrics are then those of the global batch. Noise
and flips depend on (key, step, position in the global batch) and never on the device.

A batch is a dict with "x", and "context" if the flow is conditional.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Num

from realnvp_jax.likelihood import bits_per_dim, log_prob_of_bits
from realnvp_jax.models import pure
from realnvp_jax.models.declared import penalized
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.random import draw_each
from realnvp_jax.training.optimizer import global_norm, l2_penalty
from realnvp_jax.training.state import TrainState

Batch = dict[str, Any]

_CPU_CHUNK = 1024

_CROP = 0x63726F70  # distinct from the step and example numbers that keys are folded with


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


def random_crop(key: jax.Array, indices: jax.Array, x: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """A random crop of (height, width, channels) = `shape` from every image of x, which may be larger.

    All positions are equally likely; they depend only on the key and the image's index.
    """
    if len(shape) != 3 or x.shape[1:] == shape:
        return x
    height, width, channels = shape
    if x.ndim != 4 or x.shape[3] != channels or x.shape[1] < height or x.shape[2] < width:
        raise ValueError(f"expected images [n, height, width, channels] of at least {shape}; got {x.shape}")
    free = jnp.array([x.shape[1] - height + 1, x.shape[2] - width + 1])
    crop_key = jax.random.fold_in(key, _CROP)

    def crop(index: jax.Array, image: jax.Array) -> jax.Array:
        row, column = jax.random.randint(jax.random.fold_in(crop_key, index), (2,), 0, free)
        return jax.lax.dynamic_slice(image, (row, column, 0), (height, width, channels))

    return jax.vmap(crop)(indices, x)


def mirror(key: jax.Array, indices: jax.Array, x: jax.Array) -> jax.Array:
    """Images [n, height, width, channels], mirrored left to right with probability 1/2 each."""
    mirrored = jax.vmap(lambda i: jax.random.bernoulli(jax.random.fold_in(key, i)))(indices)
    return jnp.where(mirrored.reshape((-1,) + (1,) * (x.ndim - 1)), jnp.flip(x, axis=-2), x)


def augment(
    key: jax.Array,
    indices: jax.Array,
    x: jax.Array,
    *,
    flip: bool,
    noise: np.ndarray | None = None,
    shape: tuple[int, ...] | None = None,
) -> jax.Array:
    """Integer images, cropped to `shape` at random, and mirrored left to right with probability 1/2 if `flip`.

    Continuous data are returned unchanged, or with Gaussian noise of the standard deviations `noise`, one per column,
    which regularizes the density of a small data set. Augmentation depends only on the key and an example's index.
    """
    if shape is not None:
        x = random_crop(key, indices, x, shape)
    if jnp.issubdtype(x.dtype, jnp.integer):
        return mirror(jax.random.split(key)[0], indices, x) if flip else x
    if noise is None:
        return x
    draws = draw_each(jax.random.normal, noise_key(key), indices, x.shape[1:], x.dtype)
    return x + jnp.asarray(noise, x.dtype)[None] * draws


def noise_key(key: jax.Array) -> jax.Array:
    """Key of a step's noise (dequantization noise for pixels), from the step's own key."""
    return jax.random.split(key)[1]


def loss_fn(
    trainable: Params,
    params: Params,
    x: Num[Array, "n ..."],
    context: Float[Array, "n context_size"] | None = None,
    key: jax.Array | None = None,
    *,
    flow: Flow,
    l2: float,
    axis_name: str | None,
) -> tuple[jax.Array, tuple[jax.Array, Params]]:
    """Mean -log_prob in nats per example plus l2 times the penalty, and (the mean log_prob, updated params).

    For integer pixels, log_prob is the bound of `Flow.bits_per_dim_train`, with noise from `key`.
    """
    variables = {**params, "params": trainable}
    if jnp.issubdtype(x.dtype, jnp.integer):
        assert key is not None  # pixels are dequantized with noise
        bits, params = flow.bits_per_dim_train(variables, key, x, context, axis_name=axis_name)
        mean_log_prob = log_prob_of_bits(bits, flow.num_dims).mean()
    else:
        log_prob, params = flow.log_prob_train(variables, x, context, axis_name=axis_name)
        mean_log_prob = log_prob.mean()
    penalty = l2_penalty(trainable, penalized(flow)) if l2 else 0.0
    return -mean_log_prob + l2 * penalty, (mean_log_prob, params)


def _gradients(
    params: Params, batch: Batch, key: jax.Array, *, flow: Flow, l2: float, axis_name: str | None
) -> tuple[Params, tuple[jax.Array, Params]]:
    """Gradient of `loss_fn`, and what it returns besides the loss.

    On a CPU, if examples are independent of each other, it is the mean of the gradients of chunks: the values that
    reverse mode keeps then stay in the cache, instead of in pages that the operating system has to supply again in
    every step (8,192 points took 157 ms without chunks, 93 ms with them). Chunks would not share batch statistics.
    """
    gradient_fn = jax.grad(loss_fn, has_aux=True)

    def gradient(batch: Batch):
        return gradient_fn(
            params["params"], params, batch["x"], batch.get("context"), key, flow=flow, l2=l2, axis_name=axis_name
        )

    size = math.gcd(len(batch["x"]), _CPU_CHUNK)
    is_independent = len(flow.event_shape) == 1 and not params.get("batch_stats")
    is_independent &= not jnp.issubdtype(batch["x"].dtype, jnp.integer)  # noise depends on the position in the batch
    if jax.default_backend() != "cpu" or not is_independent or size < 256 or size == len(batch["x"]):
        return gradient(batch)
    chunks = jax.tree.map(lambda values: values.reshape((-1, size, *values.shape[1:])), batch)

    def add(total, chunk):
        gradients, (log_prob, _) = gradient(chunk)
        return jax.tree.map(jnp.add, total, (gradients, log_prob)), None

    shapes, (log_prob_shape, _) = jax.eval_shape(gradient, jax.tree.map(lambda values: values[0], chunks))
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), (shapes, log_prob_shape))
    total, _ = jax.lax.scan(add, zeros, chunks)
    gradients, log_prob = jax.tree.map(lambda values: values / len(chunks["x"]), total)
    return gradients, (log_prob, params)


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    flow: Flow,
    optimizer: optax.GradientTransformation,
    l2: float = 0.0,
    flip: bool = False,
    noise: np.ndarray | None = None,
    ema_decay: float = 0.0,
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
      noise: standard deviations of Gaussian noise on vectors, one per column, or None.
      ema_decay: decay of the moving average of the parameters, 0 for none, warmed up as (1 + t) / (10 + t).
      axis_name: axis of devices that share the batch.

    Returns:
      The next state, and `score` of the batch in training mode and the global gradient norm before clipping.
    """
    key = jax.random.fold_in(key, state.step)
    indices = pure.positions(batch["x"].shape[0], axis_name)
    x = augment(key, indices, batch["x"], flip=flip, noise=noise, shape=flow.event_shape)
    gradients, (log_prob, params) = _gradients(
        state.params, {**batch, "x": x}, noise_key(key), flow=flow, l2=l2, axis_name=axis_name
    )
    if axis_name is not None:
        gradients, log_prob = jax.lax.pmean((gradients, log_prob), axis_name)
    with jax.numpy_dtype_promotion("standard"):  # optax multiplies floats by integer counts
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params["params"])
    params = {**params, "params": optax.apply_updates(state.params["params"], updates)}
    ema = state.ema
    if ema_decay:
        step = state.step.astype(jnp.float32)
        decay = jnp.minimum(ema_decay, (1 + step) / (10 + step))
        ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, ema, params)
    metrics = {"score": score(flow, log_prob), "gradient_norm": global_norm(gradients)}
    return TrainState(step=state.step + 1, params=params, opt_state=opt_state, ema=ema), metrics


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
      train_mode: normalize by the statistics of the batch instead of the running ones.
      num_samples: number of dequantizations in the importance-weighted bound on images, in evaluation mode.
      axis_name: axis of devices that share the batch.
    """
    x, context = batch["x"], batch.get("context")
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = random_crop(key, batch["index"], x, flow.event_shape)
        if train_mode:
            scores, _ = pure.bits_per_dim_train(flow, params, key, batch["index"], x, context, axis_name)
        else:
            scores = pure.bits_per_dim(flow, params, key, batch["index"], x, context, num_samples)
    elif train_mode:
        log_prob, _ = flow.log_prob_train(params, x, context, axis_name=axis_name)
        scores = score(flow, log_prob)
    else:
        scores = score(flow, flow.log_prob(params, x, context))
    return scores if axis_name is None else jax.lax.all_gather(scores, axis_name, tiled=True)
