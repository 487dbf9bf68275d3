"""Is the flow invertible in floating point? Errors of x -> z -> x, layer by layer, and the latents in between.

The inverse of a coupling divides by the exp(s) that `forward` multiplied by, so a round trip is exact except for
rounding, which a layer with large scales amplifies. A layer's error is that of its own round trip,
layer.inverse(layer.forward(y)) - y, relative to the largest |y| of the example (or to 1, if that is larger).
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.data.examples import Examples
from realnvp_jax.mode import EVALUATE
from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.rounding import LARGEST_LOG_PROB_ERROR, LARGEST_ROUND_TRIP_ERROR
from realnvp_jax.random import root_key
from realnvp_jax.training.augmentation import random_crop
from realnvp_jax.training.evaluation import evaluation_key

_ERRORS, _ORDER = "round_trip_errors", "order_of_layers"
_ALL = "the flow"  # the layer name used where the whole bijection is one layer


@dataclasses.dataclass(frozen=True, eq=False)
class RoundTrip:
    """Errors of x -> z -> x in one floating-point type.

    Attributes:
      largest: largest absolute error of a value, in the data's units (pixels are 1 apart).
      mean: mean absolute error.
      relative: largest error in pixel values, or in standard deviations of the columns of the examples.
      log_det: largest |log_det of forward + log_det of inverse|, in nats.
      changed: fraction of pixels that floor to a different value after the round trip; 0 for vectors.
      layers: layer name -> (largest, mean) relative error of that layer's round trip.
      log_dets: log_det of forward of each example, in nats, [n].
    """

    largest: float
    mean: float
    relative: float
    log_det: float
    changed: float
    layers: dict[str, tuple[float, float]]
    log_dets: np.ndarray

    @property
    def worst_layer(self) -> str:
        """The layer with the largest error."""
        return max(self.layers, key=lambda name: np.nan_to_num(self.layers[name][0], nan=np.inf))

    @property
    def is_exact(self) -> bool:
        """Whether the errors are within the bounds of `realnvp_jax.models.rounding`."""
        return self.relative <= LARGEST_ROUND_TRIP_ERROR and self.log_det <= LARGEST_LOG_PROB_ERROR


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """Round trips of examples, and their latents.

    Attributes:
      float32: errors in single precision, in which the flow is used.
      float64: errors of the same parameters and examples in double precision, for comparison.
      latents: latents of the examples, [n, *event].
    """

    float32: RoundTrip
    float64: RoundTrip
    latents: np.ndarray

    @property
    def log_det_error(self) -> float:
        """Largest difference between the log_det of forward in single and in double precision, in nats."""
        return float(np.abs(self.float32.log_dets - self.float64.log_dets).max())


def reconstruct(
    flow: Flow, params: Params, examples: Examples, *, seed: int | None = None, batch_size: int = 100
) -> Reconstruction:
    """Send examples to their latents and back, in single and in double precision.

    Args:
      flow: the flow.
      params: its parameters.
      examples: the examples; pixels are dequantized.
      seed: seed of the dequantization noise; None for the seed of evaluation.
      batch_size: examples at a time; it does not change the result.
    """
    key = evaluation_key() if seed is None else root_key(seed)
    continuous = dequantized(flow, params, examples, key, batch_size)
    unit = 1.0 if flow.levels is not None else standard_deviations(examples.x)  # pixels are 1 apart
    float32, latents = _round_trip(flow, params, continuous, unit, batch_size, jnp.float32)
    with jax.enable_x64(True):
        float64, _ = _round_trip(flow, params, continuous, unit, batch_size, jnp.float64)
    return Reconstruction(float32, float64, latents)


def _round_trip(
    flow: Flow, params: Params, examples: Examples, unit: Any, batch_size: int, dtype: Any
) -> tuple[RoundTrip, np.ndarray]:
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), dict(params))
    size = min(batch_size, len(examples))
    order: dict[str, int] = {}
    largest, log_det, total, changed, values = np.zeros(flow.event_shape), 0.0, 0.0, 0, 0
    layers: dict[str, list[np.ndarray]] = {}
    latents, log_dets = [], []
    with tqdm(total=len(examples), desc=f"round trip in {np.dtype(dtype)}", disable=None, leave=False) as bar:
        for start in range(0, len(examples), size):
            numbers = np.minimum(np.arange(start, start + size), len(examples) - 1)
            count = min(size, len(examples) - start)
            batch = examples.batch(numbers)
            context = None if "context" not in batch else jnp.asarray(batch["context"], dtype)
            x = jnp.asarray(batch["x"], dtype)
            z, back, log_det_of_x, log_det_error, errors = _round_trip_of_batch(flow, params, x, context)
            difference = np.abs(np.asarray(back, np.float64) - np.asarray(x, np.float64))[:count]
            largest = np.maximum(largest, difference.max(axis=0))
            log_det = np.maximum(log_det, np.abs(np.asarray(log_det_error, np.float64))[:count].max())
            total, values = total + difference.sum(), values + difference.size
            if flow.levels is not None:
                changed += int((np.floor(back) != np.floor(x))[:count].sum())
            latents.append(np.asarray(z)[:count])
            log_dets.append(np.asarray(log_det_of_x, np.float64)[:count])
            for name, number, error in _named(errors):
                order[name] = number
                layers.setdefault(name, []).append(np.asarray(error, np.float64)[:count])
            bar.update(count)
    names = sorted(layers, key=lambda name: (order[name], name))
    joined = {name: np.concatenate(layers[name]) for name in names}
    summary = {name: (float(error.max()), float(error.mean())) for name, error in joined.items()}
    relative = float((largest / unit).max())
    trip = RoundTrip(
        float(largest.max()),
        float(total / values),
        relative,
        float(log_det),
        changed / values,
        summary,
        np.concatenate(log_dets),
    )
    return trip, np.concatenate(latents)


def standard_deviations(x: Float[np.ndarray, "n *event"]) -> Float[np.ndarray, "*event"]:
    """The standard deviation of each column of examples in float64, as a unit: 1 for a column of equal values."""
    found = x.std(axis=0, dtype=np.float64)
    return np.where(found > 0, found, 1)


def dequantized(flow: Flow, params: Params, examples: Examples, key: jax.Array, batch_size: int = 100) -> Examples:
    """Examples as the density sees them: pixels cut to the model's size and dequantized, as in evaluation.

    Args:
      flow: the flow.
      params: its parameters.
      examples: the examples; vectors are returned as they are.
      key: root key of the noise, which depends only on it and on an example's number.
      batch_size: examples at a time; it does not change the result.
    """
    if not np.issubdtype(examples.x.dtype, np.integer):
        return examples
    size, values = min(batch_size, len(examples)), []
    for start in range(0, len(examples), size):
        numbers = np.minimum(np.arange(start, start + size), len(examples) - 1)
        batch = examples.batch(numbers)
        x = _dequantized(flow, dict(params), key, jnp.asarray(numbers), batch["x"], batch.get("context"))
        values.append(np.asarray(x))
    return Examples(np.concatenate(values)[: len(examples)], examples.context)


@functools.partial(jax.jit, static_argnums=0)
def _dequantized(flow: Flow, params: Any, key: jax.Array, numbers: jax.Array, x: jax.Array, context: Any) -> jax.Array:
    pixels = random_crop(key, numbers, x, flow.event_shape)
    return pure.dequantize(flow, params, key, numbers, pixels, context)[0][0]


@functools.partial(jax.jit, static_argnums=0)
def _round_trip_of_batch(
    flow: Flow, params: Any, x: jax.Array, context: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, Any]:
    """(z, reconstructed x, log_det, the sum of both log_dets, the layers' errors in a tree of their names)."""
    y, derivative = flow.preprocessing.forward(x)
    with pure.precision(EVALUATE), nn.intercept_methods(_note_round_trips()):
        (z, log_det), noted = flow.bijection.apply(params, y, context, method="forward", mutable=["intermediates"])
    back, inverse_log_det = flow.inverse(params, z, context)
    log_det = log_det + derivative.sum(axis=tuple(range(1, x.ndim)))
    return z, back, log_det, log_det + inverse_log_det, noted.get("intermediates", {})


def _note_round_trips():
    """An interceptor that sows, in every layer that `forward` passes through, the error of that layer's round trip."""
    inside, order = False, 0

    def intercept(call, arguments, options, method):
        nonlocal inside, order
        layer = method.module
        is_layer = isinstance(layer, Bijection) and layer.is_elementary and method.method_name == "forward"
        if inside or not is_layer:
            return call(*arguments, **options)
        inside = True
        try:
            z, log_det = call(*arguments, **options)
            x, context = arguments[:2]
            back, _ = layer.inverse(z, context)
        finally:
            inside = False
        axes = tuple(range(1, x.ndim))
        size = jnp.maximum(jnp.abs(x).max(axes), 1)
        layer.sow("intermediates", _ERRORS, jnp.abs(back - x).max(axes) / size)
        layer.sow("intermediates", _ORDER, jnp.asarray(order))
        order += 1
        return z, log_det

    return intercept


def _named(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, int, np.ndarray]]:
    """(layer name, position in the order of `forward`, errors [n]) of the sown errors; stacked layers are numbered."""
    found = []
    for name in tree:
        if name == _ORDER:
            continue
        if name != _ERRORS:
            found += _named(tree[name], (*path, name))
            continue
        (errors,), (order,) = tree[name], tree[_ORDER]
        label, number = "/".join(path) or _ALL, int(np.ravel(order)[0])
        if errors.ndim == 1:
            found.append((label, number, np.asarray(errors)))
        else:
            stack = errors.reshape(-1, errors.shape[-1])
            width = len(str(len(stack) - 1))
            found += [(f"{label}[{i:0{width}d}]", number, np.asarray(row)) for i, row in enumerate(stack)]
    return found
