"""The evaluations of a run, each over a whole split."""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from realnvp_jax.data.fingerprint import sha256_of_examples
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.models.flow import Params
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.training.evaluation import evaluate, evaluate_train_mode
from realnvp_jax.training.parallel import parallel_eval_step, replicate
from realnvp_jax.training.steps import cost


class Evaluator:
    """Scores parameters on the splits of a run.

    Args:
      experiment: the run.
    """

    def __init__(self, experiment: Experiment):
        self._experiment, self._flow, self._splits = experiment, experiment.flow, experiment.splits
        self._batch_size = experiment.config.evaluate.batch_size
        self._training_batch_size = experiment.config.batch_size
        self._num_importance_samples = experiment.config.evaluate.num_importance_samples
        self._step = parallel_eval_step(self._flow)
        self._train_mode_step = parallel_eval_step(self._flow, train_mode=True)

    @functools.cached_property
    def validation_set(self) -> str:
        """A hash of the validation examples, of which results can be compared."""
        return sha256_of_examples(self._splits.validation)

    def validation(self, params: Params) -> tuple[float, float | None]:
        """(mean, standard error) on the validation split, for parameters on every device."""
        scores = evaluate(self._step, params, self._splits.validation, self._batch_size)
        return mean_and_standard_error(scores)

    def validation_train_mode(self, params: Params) -> float | None:
        """Mean on the validation split under batch statistics; None for a flow that has none."""
        if not params.get("batch_stats"):
            return None
        examples = self._splits.validation
        scores = evaluate_train_mode(self._train_mode_step, params, examples, self._training_batch_size)
        return float(scores.mean(dtype=np.float64))

    def validation_row(self, params: Params) -> dict[str, float]:
        """The columns of metrics.csv that an evaluation has, for parameters on every device."""
        mean, standard_error = self.validation(params)
        row = {
            "validation": mean,
            "validation_standard_error": standard_error,
            "validation_train_mode": self.validation_train_mode(params),
        }
        return {name: value for name, value in row.items() if value is not None}

    def describe(self, step: int, row: Mapping[str, float], best: Best) -> str:
        """The line that reports a row of metrics.csv with an evaluation."""
        train = f"train {row['train']:.3f}, " if "train" in row else ""
        batch_statistics = ""
        if "validation_train_mode" in row:
            batch_statistics = f" (with batch statistics {row['validation_train_mode']:.3f})"
        best_one = "" if best.step is None else f", best {cost(self._flow, best.cost):.3f} at step {best.step}"
        return (
            f"step {step} of {self._experiment.config.num_steps}: {train}validation {row['validation']:.3f}"
            f"{batch_statistics}{best_one} {self._experiment.unit}"
        )

    def validation_cost(self, params: Params) -> float:
        """The validation result as a cost (smaller is better), for parameters on one device."""
        return cost(self._flow, self.validation(replicate(params))[0])

    def test(self, params: Params, check: Callable[[], None]) -> tuple[float, float | None]:
        """(mean, standard error) on the test split, for parameters on one device; `check` is called between batches.

        With `evaluate.num_importance_samples` above 1, scores are importance-weighted bounds.
        """
        num = self._num_importance_samples
        step, size = parallel_eval_step(self._flow, num_samples=num), max(1, self._batch_size // num)
        scores = evaluate(step, replicate(params), self._splits.test, size, between=check)
        bad = ~np.isfinite(scores)
        if bad.any():
            raise ValueError(
                f"expected finite scores of all test examples; got {int(bad.sum()):,} of {len(bad):,} that are not, "
                f"the first for test example {int(bad.argmax())} (counted from 0): look for extreme values in the data"
            )
        return mean_and_standard_error(scores)
