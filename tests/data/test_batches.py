"""Batches of indices."""

import numpy as np

from realnvp_jax.data.batches import batch_indices


def test_batches_are_a_pure_function_of_seed_and_step():
    steps = [batch_indices(3, step, 4, 10) for step in range(5)]
    np.testing.assert_array_equal(np.sort(np.concatenate(steps)[:10]), np.arange(10))
    np.testing.assert_array_equal(np.sort(np.concatenate(steps)[10:]), np.arange(10))
    np.testing.assert_array_equal(batch_indices(3, 2, 4, 10), steps[2])
    assert not np.array_equal(batch_indices(4, 0, 4, 10), steps[0])
    shares = [batch_indices(3, 2, 4, 10, process, 2) for process in range(2)]
    np.testing.assert_array_equal(np.concatenate(shares), steps[2])
    assert len(batch_indices(0, 0, 25, 10)) == 25
