"""Evaluation."""

import jax
import numpy as np

from realnvp_jax.data.examples import Examples
from realnvp_jax.training.evaluation import evaluate
from realnvp_jax.training.parallel import parallel_eval_step
from tests.training.helpers import FLOW, compiled_step, pixels


def test_evaluation_counts_every_example_once_whatever_the_batch_size():
    state, _ = compiled_step()
    step = parallel_eval_step(FLOW)
    scores = evaluate(step, state.params, Examples(pixels()), 12)
    assert scores.shape == (12,)
    for batch_size in (5, 7, 20):
        np.testing.assert_allclose(evaluate(step, state.params, Examples(pixels()), batch_size), scores, rtol=1e-6)
    np.testing.assert_allclose(FLOW.bits_per_dim(state.params, jax.random.key(0), pixels()), scores, rtol=1e-6)
