"""The score of a run's flow on a split: bits per dimension of images, log-density in nats of vectors."""

import dataclasses

import numpy as np

from realnvp_jax.analysis.run import Run
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.models.arguments import at_least
from realnvp_jax.random import root_key
from realnvp_jax.training.evaluation import evaluate as evaluate_examples
from realnvp_jax.training.evaluation import evaluate_train_mode, evaluation_key
from realnvp_jax.training.parallel import parallel_eval_step, replicate
from realnvp_jax.training.steps import unit

NOTABLE_DIFFERENCE = 0.05  # between the scores under running statistics and under those of a batch


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """A split's scores.

    Attributes:
      split: its name.
      scores: the score of each example, [n].
      mean: their mean.
      standard_error: standard error of the mean over examples; None for a single example.
      unit: bits/dim (smaller is better), or nats (larger is better).
      num_samples: K in the importance-weighted bound.
      train_mode: mean score under the statistics of batches of the run's size; None without batch norm or with
        num_samples > 1.
    """

    split: str
    scores: np.ndarray
    mean: float
    standard_error: float | None
    unit: str
    num_samples: int
    train_mode: float | None

    @property
    def modes_differ(self) -> bool:
        """Whether the results under running statistics and under those of a batch differ by 0.05 or more."""
        return self.train_mode is not None and abs(self.train_mode - self.mean) >= NOTABLE_DIFFERENCE


def evaluate(
    run: Run,
    split: str = "test",
    *,
    num_samples: int = 1,
    seed: int | None = None,
    batch_size: int | None = None,
    num: int | None = None,
) -> Evaluation:
    """Evaluate a run on a split, every example once, in evaluation mode.

    Args:
      run: the run.
      split: "train", "validation" or "test".
      num_samples: K dequantizations of each image: the bound -1/(D log 2) log 1/K sum_k p(x + u_k).
      seed: seed of the dequantization noise; None for the one that training uses, which reproduces result.json.
      batch_size: examples at a time; None for the run's `evaluate.batch_size`. It does not change the result.
      num: number of examples, from the start of the split; None for all.

    Raises:
      ValueError: there is no such split or its data no longer exist; num_samples is less than 1, or not 1 for vectors;
        num is less than 1.
    """
    flow = run.flow
    if num_samples < 1 or (num_samples > 1 and flow.levels is None):
        raise ValueError(f"expected num_samples of at least 1, and 1 for vectors; got {num_samples}")
    examples = run.split(split)
    if num is not None:
        at_least(1, num=num)
        examples = examples.first(num)
    params = replicate(run.params)
    key = evaluation_key() if seed is None else root_key(seed)
    size = max(1, (batch_size or run.config.evaluate.batch_size) // num_samples)  # all K copies are evaluated at once
    step = parallel_eval_step(flow, num_samples=num_samples)
    scores = evaluate_examples(step, params, examples, size, key, progress=True)
    train_mode = None
    if run.params.get("batch_stats") and num_samples == 1:  # the bound for several samples is a different quantity
        step = parallel_eval_step(flow, train_mode=True)
        of_batches = evaluate_train_mode(step, params, examples, run.config.batch_size, key)
        train_mode = float(of_batches.mean(dtype=np.float64))
    mean, standard_error = mean_and_standard_error(scores)
    return Evaluation(split, scores, mean, standard_error, unit(flow), num_samples, train_mode)
