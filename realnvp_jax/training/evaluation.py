"""Evaluation over a whole split: every example once, with noise from a fixed seed, independent of the batch size."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from realnvp_jax.data.examples import Examples
from realnvp_jax.models.flow import Params
from realnvp_jax.random import root_key
from realnvp_jax.training.parallel import shard

_EVALUATION_SEED = 0  # fixed, so that a checkpoint has a single result
_BATCHES_AHEAD = 2  # dispatched before a result is fetched; a request to stop waits for them


def evaluation_key() -> jax.Array:
    """Root key of the noise in every evaluation."""
    return root_key(_EVALUATION_SEED)


def evaluate(
    step: Callable[..., Any],
    params: Params,
    examples: Examples,
    batch_size: int,
    key: jax.Array | None = None,
    *,
    progress: bool = False,
    between: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Scores of all examples, [n], from `parallel_eval_step`.

    All batches have the same shape; the last is padded with copies of the last example, whose scores are dropped.

    Args:
      step: compiled evaluation step.
      params: parameters.
      examples: the split.
      batch_size: examples per step, at most all of them, rounded up to a multiple of the number of devices.
      key: root key of the noise; None for `evaluation_key`.
      progress: whether to show a progress bar.
      between: called between batches, where it may raise.
    """
    batch_size = min(batch_size, len(examples))
    batch_size += -batch_size % jax.device_count()
    key = evaluation_key() if key is None else key
    batches = list(_padded_batches(len(examples), batch_size))
    scores, fetched = [], []
    for indices in tqdm(batches, "evaluating", unit="batch", disable=None if progress else True, leave=False):
        scores.append(step(params, _process_share(examples, indices), key))
        between()
        if len(scores) > _BATCHES_AHEAD:
            fetched.append(np.asarray(scores.pop(0)))
    fetched += [np.asarray(batch) for batch in scores]
    return np.concatenate(fetched)[: len(examples)]


def evaluate_train_mode(
    step: Callable[..., Any], params: Params, examples: Examples, batch_size: int, key: jax.Array | None = None
) -> np.ndarray:
    """Scores in training mode, under each batch's own statistics, from `parallel_eval_step(train_mode=True)`.

    An incomplete last batch is left out; if there are fewer examples than a batch, they form one smaller batch.
    """
    devices = jax.device_count()
    batch_size = max(min(batch_size, len(examples)) // devices * devices, devices)
    num_full = max(len(examples) // batch_size, 1) * batch_size
    return evaluate(step, params, examples.first(num_full), batch_size, key)


def _padded_batches(num_examples: int, batch_size: int) -> Iterator[np.ndarray]:
    for start in range(0, num_examples, batch_size):
        yield np.minimum(np.arange(start, start + batch_size), num_examples - 1)


def _process_share(examples: Examples, indices: np.ndarray) -> dict[str, np.ndarray]:
    mine = np.split(indices, jax.process_count())[jax.process_index()]
    return shard({**examples.batch(mine), "index": mine.astype(np.int32)})
