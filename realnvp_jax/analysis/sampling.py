"""Any number of samples in bounded memory; sample number i is the same for any batch size."""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from realnvp_jax.checks import check_finite
from realnvp_jax.models import inputs, pure
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.random import root_key


@dataclasses.dataclass
class Clamping:
    """How many sampled values had to be clamped to the range of pixels, or were not finite.

    Attributes:
      values: number of all values.
      clamped: number of values outside [0, levels).
      non_finite: number of NaN and infinite values; they become 0.
    """

    values: int = 0
    clamped: int = 0
    non_finite: int = 0


def draw_latents(flow: Flow, key: jax.Array, numbers: jax.Array) -> jax.Array:
    """Latents [n, *event] from the base; each depends only on the key and on its number."""
    return jax.vmap(lambda i: flow.base.sample(jax.random.fold_in(key, i), flow.event_shape))(numbers)


@functools.partial(jax.jit, static_argnums=0)
def _sample(flow: Flow, params: Any, key: jax.Array, numbers: jax.Array, context: Any, temperature: Any) -> jax.Array:
    return pure.inverse(flow, params, temperature * draw_latents(flow, key, numbers), context)[0]


def sample_in_batches(
    flow: Flow,
    params: Params,
    num: int,
    *,
    seed: int = 0,
    temperature: float = 1.0,
    context: np.ndarray | None = None,
    repeat: int = 1,
    batch_size: int = 100,
) -> Iterator[np.ndarray]:
    """Yield samples in the data's units, [up to batch_size, *event] at a time, compiled once.

    Args:
      flow: the flow.
      params: its parameters.
      num: number of samples.
      seed: seed of the latents.
      temperature: factor on the base distribution's standard deviation.
      context: [k, context_size] for a conditional flow; sample i gets row i // repeat, modulo k.
      repeat: how many consecutive samples get the same context.
      batch_size: number of samples at a time.

    Raises:
      ValueError: num, repeat or batch_size is less than 1; the temperature is negative, or not 1 with a uniform base;
        the context is missing or has the wrong width.
    """
    if num < 1:
        raise ValueError(f"expected at least one sample; got {num}")
    if repeat < 1:
        raise ValueError(f"expected repeat of at least 1; got {repeat}")
    if batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1; got {batch_size}")
    if context is not None:
        check_finite(np.asarray(context), what="contexts")
    inputs.checked_temperature(temperature, flow.base)
    inputs.check_context(context, flow.context_size)
    return _batches(flow, params, num, seed, temperature, context, repeat, min(batch_size, num))


def _batches(
    flow: Flow,
    params: Params,
    num: int,
    seed: int,
    temperature: float,
    context: np.ndarray | None,
    repeat: int,
    batch_size: int,
) -> Iterator[np.ndarray]:
    key, dtype = root_key(seed), jnp.result_type(float)
    with tqdm(total=num, desc="sampling", unit="sample", disable=None, leave=False) as bar:
        for start in range(0, num, batch_size):
            numbers = np.arange(start, start + batch_size)
            rows = None if context is None else jnp.asarray(context, dtype)[numbers // repeat % len(context)]
            arguments = jnp.asarray(numbers), rows, jnp.asarray(temperature, dtype)
            samples = np.asarray(_sample(flow, dict(params), key, *arguments))
            count = min(batch_size, num - start)
            yield samples[:count]
            bar.update(count)


def to_pixels(flow: Flow, samples: np.ndarray, clamping: Clamping) -> np.ndarray:
    """Samples floored and clamped to uint8 pixels; the counts are added to `clamping`."""
    assert flow.levels is not None
    finite = np.isfinite(samples)
    clamping.values += samples.size
    clamping.non_finite += int((~finite).sum())
    clamping.clamped += int((finite & ((samples < 0) | (samples >= flow.levels))).sum())
    return np.asarray(flow.to_uint8(np.where(finite, samples, 0.0)))
