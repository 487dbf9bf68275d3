"""The loop over the updates of one run, and what happens between them."""

import contextlib
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from tqdm import tqdm

from realnvp_jax.data.prefetch import prefetch
from realnvp_jax.models.flow import Params
from realnvp_jax.processes import is_main, on_main
from realnvp_jax.runs import pictures
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.decorations import attempt, warn
from realnvp_jax.runs.divergence import divergence
from realnvp_jax.runs.evaluator import Evaluator
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.runs.finish import finish
from realnvp_jax.runs.fresh_state import fresh_state, state_shapes
from realnvp_jax.runs.history import note_start
from realnvp_jax.runs.metrics_log import MetricsLog
from realnvp_jax.runs.pending_metrics import PendingMetrics
from realnvp_jax.runs.profiling import Profile
from realnvp_jax.runs.recovery import restore_best
from realnvp_jax.runs.result import picture_title
from realnvp_jax.runs.setup import noise_scale
from realnvp_jax.runs.start_message import print_start
from realnvp_jax.runs.stop import Stop
from realnvp_jax.runs.trackers import Trackers
from realnvp_jax.training.parallel import (
    dispatches,
    parallel_train_step,
    replicate,
    training_batch,
)
from realnvp_jax.training.state import evaluation_params
from realnvp_jax.training.steps import NonFiniteLossError, cost


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class Trainer:
    """Carries out one run: the state, and the loop over its updates.

    Args:
      experiment: the run; it continues from the newest checkpoint in its workdir.
      stop: tells all processes together whether the run has been asked to stop.

    Attributes:
      state: the state after `step` updates, on every device.
      step: the number of updates made so far.
      best: the best validation result so far.
    """

    def __init__(self, experiment: Experiment, stop: Stop):
        self.experiment, self.stop = experiment, stop
        self.config, self.flow, self.files = experiment.config, experiment.flow, experiment.files
        _, self.key, _ = experiment.keys()
        periods = self.config.checkpoint.every, self.config.evaluate.every, self.config.evaluate.log_every
        self._periods = periods
        self._steps_per_dispatch = min(self.config.steps_per_dispatch, self.config.num_steps, *periods)
        self.step_fn = parallel_train_step(
            self.flow,
            experiment.optimizer,
            l2=self.config.optimizer.l2,
            flip=self.config.dataset.flip,
            shift=self.config.dataset.shift,
            noise=noise_scale(self.config, experiment.splits),
            ema_decay=self.config.ema_decay,
            accumulate=self.config.accumulate,
            skip_nonfinite=self.config.on_nonfinite == "skip",
            steps_per_dispatch=self._steps_per_dispatch,
        )
        self.evaluator = Evaluator(experiment)
        self._rewound_to: int | None = None
        self._shapes = state_shapes(experiment)
        print_start(experiment, self._shapes)
        with contextlib.ExitStack() as resources:  # if something fails, those that are open are released
            self._open(resources)
            self._resources = resources.pop_all()

    def _open(self, resources: contextlib.ExitStack) -> None:
        """Restore the newest checkpoint, and open the run's files, which only the main process does."""
        self.checkpoints = Checkpoints(self.files.path, keep=self.config.checkpoint.keep)
        resources.callback(self.checkpoints.close)
        leaves, self.best, self.checkpoints.passed_over = on_main(self._starting_point)
        self.state = replicate(jax.tree.unflatten(jax.tree.structure(self._shapes), leaves))
        self.step = int(self.state.step)
        on_main(lambda: self._open_records(resources))
        skips = self.config.on_nonfinite == "skip"
        self.pending = PendingMetrics(self.step, self.config.batch_size, self.experiment.schedule, skips)

    def _starting_point(self) -> tuple[list[jax.Array], Best, int]:
        """The leaves of the state to start from, the best result so far, and the number of batches passed over."""
        restored = self.checkpoints.restore(self._shapes)
        state, best = (fresh_state(self.experiment), Best()) if restored is None else restored
        step = int(state.step)
        if best.step is None or best.validation_set is None:  # no result yet, or one of a version before 0.12
            best = dataclasses.replace(best, validation_set=self.evaluator.validation_set)
        if best.evaluated is None and best.step is not None and step % self.config.evaluate.every == 0:
            best = dataclasses.replace(best, evaluated=step)  # versions before 0.11 evaluated before they saved
        return jax.tree.leaves(state), best, self.checkpoints.passed_over

    def _open_records(self, resources: contextlib.ExitStack) -> None:
        self.log = MetricsLog(self.files, self.step)
        resources.callback(self.log.close)
        note_start(self.files.run_path, self.experiment.command, self.step)
        self.trackers = Trackers(self.files.path, self.config, self.step, self.experiment.tracker)
        resources.callback(self.trackers.close)
        num_traced = self.config.profile if self._rewound_to is None else 0
        self.profile = Profile(self.files.path / "profile", num_traced, self.step)
        resources.callback(self.profile.close)

    def run(self) -> dict[str, Any]:
        """Train to the last step, evaluate the best one on the test set, and return the contents of result.json."""
        print(f"workdir: {self.files.path}" + (f", resumed at step {self.step}" if self.step else ""))
        print("compiling (the first step takes a while) ...", flush=True)
        if self.best.step is not None:
            self._restore_best()  # early, so that if the best checkpoint is lost, the run uses the best one left
        self._train_to_the_end()
        if is_main() and self.profile.close():
            print(f"profile: {self.profile.path}")
        if self.step < self.config.num_steps:
            print(
                f"no better validation result in {self.config.patience} evaluations: training ends at step {self.step}"
            )
        params = self._restore_best()
        print(f"evaluating {len(self.experiment.splits.test):,} test examples ...", flush=True)
        message = f"stopped after the last step, which is saved; for the test result, run again: {self._same_call}"
        check = functools.partial(self.stop.check_soon, message)
        score = self.evaluator.test(params, check)
        is_average = bool(self.state.ema)
        return on_main(
            lambda: finish(self.experiment, self.trackers, self.best, params, score, self.step, is_average=is_average)
        )

    def close(self) -> None:
        """Wait until pending saves are complete, and release all resources."""
        self._resources.close()

    def _train_to_the_end(self) -> None:
        """Train, going back to the newest checkpoint when a loss is not finite, if the config says so."""
        while True:
            try:
                return self._train()
            except NonFiniteLossError as error:
                if self.config.on_nonfinite != "rewind" or not self._rewind(str(error)):
                    raise

    def _rewind(self, why: str) -> bool:
        """Go back to the newest checkpoint and pass over the batches until the fault; False if that would not help."""
        newest = max(self.checkpoints.steps(), default=None)
        if newest is None or newest == self._rewound_to:
            return False
        warn(f"{why}; going back to step {newest}, with other batches")
        self._rewound_to = newest
        next_batch = (self.pending.bad_step or self.step) + self.checkpoints.passed_over
        self._resources.close()
        with contextlib.ExitStack() as resources:
            self._open(resources)
            self._resources = resources.pop_all()
        self.checkpoints.passed_over = next_batch - self.step
        return True

    def _train(self) -> None:
        config = self.config
        plan = dispatches(self.step, config.num_steps, self._steps_per_dispatch, *self._periods)

        def make_batch(dispatch: tuple[int, int]) -> tuple[int, dict[str, jax.Array]]:
            train, number = self.experiment.splits.train, dispatch[0] + self.checkpoints.passed_over
            return dispatch[1], training_batch(
                train, config.seed, config.batch_size, number, dispatch[1], self._steps_per_dispatch
            )

        hidden = None if is_main() else True  # None: unless this is a terminal
        bar = tqdm(total=config.num_steps, initial=self.step, unit="step", dynamic_ncols=True, disable=hidden)
        with bar, prefetch(make_batch, plan) as batches:
            if self._must_evaluate() and self.best.evaluated != self.step:  # new, or the evaluation was interrupted
                row = on_main(lambda: self.log.values(self.step))
                self._validate(row, bar)
                self._show(row, bar)
                self._save()
                if self.step < config.num_steps:
                    self._stop_if_requested()
            if self._is_out_of_patience():
                return
            for count, examples in batches:
                self.state, metrics = self.step_fn(self.state, examples, self.key, count)
                self.step += count
                self.pending.add(metrics, count)
                bar.update(count)
                if is_main() and self.profile.after(self.step, metrics):
                    bar.write(f"profile: {self.profile.path}")
                is_last = self.step == config.num_steps
                must_save = is_last or self.step % config.checkpoint.every == 0
                must_evaluate = self._must_evaluate()
                stopping = self.stop.requested_soon()
                if stopping or must_save or must_evaluate or self.step % config.evaluate.log_every == 0:
                    row = self._metrics_row()
                    self._write(row)
                    if must_save:  # before the evaluation, which may fail or be interrupted
                        self._save(awaits_evaluation=must_evaluate)
                    if must_evaluate:
                        self._validate(row, bar)
                        is_last = is_last or self._is_out_of_patience()
                    self._show(row, bar)
                    stopping = self.stop.requested()  # a request may arrive while the metrics are fetched
                    if stopping or is_last or (must_evaluate and (must_save or self.best.step == self.step)):
                        self._save()
                if stopping and not is_last:
                    self._stop_if_requested()
                if is_last:
                    break

    def _must_evaluate(self) -> bool:
        """At every `evaluate.every` steps, after the last one, and, where that is cheap, before the first one."""
        if self.step == 0:
            return self.flow.levels is None
        return self.step == self.config.num_steps or self.step % self.config.evaluate.every == 0

    def _is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.best.waited

    @property
    def _same_call(self) -> str:
        return self.experiment.command or "the same call"

    def _metrics_row(self) -> dict[str, float]:
        """Means of the metrics since the last row; raises NonFiniteLossError."""
        try:
            return self.pending.row(self.step)
        except NonFiniteLossError as error:
            raise self._divergence(str(error), self.pending.bad_step or self.step) from None

    def _save(self, *, awaits_evaluation: bool = False) -> None:
        """Save the state, or raise NonFiniteLossError if the last update left parameters that are not finite."""
        if not _all_finite((self.state.params, self.state.ema)):
            raise self._divergence(f"parameters that are not finite after step {self.step}", self.step)
        on_main(lambda: self._save_files(awaits_evaluation))

    def _save_files(self, awaits_evaluation: bool) -> None:
        self.log.sync()
        self.checkpoints.save(self.state, self.best, awaits_evaluation)

    def _stop_if_requested(self) -> None:
        self.checkpoints.wait()
        self.stop.check(f"stopped and saved at step {self.step}; resume with: {self._same_call}")

    def _divergence(self, what: str, step: int) -> NonFiniteLossError:
        number, params = step - 1 + self.checkpoints.passed_over, self.state.params
        initial = functools.partial(fresh_state, self.experiment)  # made only if it is needed
        return on_main(lambda: divergence(what, step, number, self.experiment, self.checkpoints, params, initial))

    def _validate(self, row: dict[str, float], bar: tqdm) -> None:
        """Evaluate the state, add the result to the row, and draw samples of images."""
        params = evaluation_params(self.state)
        row |= self.evaluator.validation_row(params)
        mean = row["validation"]
        if math.isfinite(mean):
            self.best = self.best.after(self.step, cost(self.flow, mean))
        elif self.step == 0:
            self.best = dataclasses.replace(self.best, evaluated=0)
        else:
            self.checkpoints.wait()
            self.checkpoints.put_aside([step for step in self.checkpoints.steps() if step == self.step])
            raise self._divergence(f"validation result {mean} at step {self.step}", self.step)
        bar.write(self.evaluator.describe(self.step, row, self.best))
        if self.flow.levels is not None:  # those of vectors, which take longer, are drawn only at the end
            on_main(lambda: self._draw(params))
        self.pending.restart_clock(self.step)

    def _draw(self, params: Params) -> None:
        path = self.files.path / "samples" / f"step_{self.step:08d}.png"
        title = picture_title(self.files.path, self.step)
        if attempt(path, pictures.save_samples, self.experiment, params, path, title):
            pictures.remove_old(path.parent)
            self.trackers.image(self.step, "samples", path)

    def _show(self, row: dict[str, float], bar: tqdm) -> None:
        self._write(row)
        if "train" in row:  # not before the first update
            on_main(lambda: self.trackers.metrics(self.step, row))
            speed = f"{row['examples_per_second']:.0f} examples/s"
            bar.set_postfix_str(f"{row['train']:.3f} {self.experiment.unit}, {speed}")

    def _write(self, row: dict[str, float]) -> None:
        on_main(lambda: self.log.write(self.step, row))

    def _restore_best(self) -> Params:
        measure, validation_set = self.evaluator.validation_cost, self.evaluator.validation_set
        params, self.best = restore_best(self.checkpoints, self.best, self.state, measure, validation_set)
        return params
