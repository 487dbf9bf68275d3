"""Which examples form which batch: a pure function of (seed, step), so that a resumed run needs no iterator state.

Every epoch passes through the training set in an order of its own. Batches continue across the end of an epoch, so
every example is seen once per epoch and no batch is short.
"""

import functools

import numpy as np


@functools.lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(num_examples)


def batch_indices(
    seed: int, step: int, batch_size: int, num_examples: int, process: int = 0, num_processes: int = 1
) -> np.ndarray:
    """Indices into the training set for one process's share of one step's batch.

    The shares of all processes, in order, form the same global batch for any number of processes.
    """
    share = batch_size // num_processes
    numbers = step * batch_size + process * share + np.arange(share)
    epochs, places = np.divmod(numbers, num_examples)
    indices = np.empty(share, dtype=np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = _epoch_order(seed, int(epoch), num_examples)[places[here]]
    return indices
