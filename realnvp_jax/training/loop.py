"""`train`: from a config and a workdir to a trained flow and its test result."""

import dataclasses
import datetime
import math
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

import realnvp_jax
from realnvp_jax import plots
from realnvp_jax.checkpoints import Best, Checkpoints, newest_step
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.images.labels import shown
from realnvp_jax.data.prefetch import prefetch
from realnvp_jax.likelihood import mean_and_standard_error
from realnvp_jax.models.create import Config, create
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.text import describe_error, shorten
from realnvp_jax.training import pictures
from realnvp_jax.training.decorations import attempt, warn
from realnvp_jax.training.evaluation import evaluate, evaluate_train_mode
from realnvp_jax.training.parallel import (
    check_batch_size,
    dispatches,
    parallel_eval_step,
    parallel_train_step,
    replicate,
    training_batch,
)
from realnvp_jax.training.profiling import Profile
from realnvp_jax.training.run_data import RunData
from realnvp_jax.training.setup import (
    check_config,
    check_penalty,
    load_data,
    make_optimizer,
    noise_deviations,
    with_classes,
    with_event_shape,
    with_levels,
)
from realnvp_jax.training.state import create_state, evaluation_params
from realnvp_jax.training.steps import NonFiniteLossError, augment, cost, unit
from realnvp_jax.training.stop_request import StopRequest
from realnvp_jax.training.workdir import (
    MetricsLog,
    Workdir,
    describe_result,
    saved_classes,
    saved_event_shape,
    write_json,
)


class InterruptedRunError(Exception):
    """The run was asked to stop; its state is saved."""


def train(config: Config, workdir: str | Path, command: str | None = None) -> dict[str, Any]:
    """Train the flow of a config, or go on with the run in the workdir, and return its test result.

    Args:
      config: all keys of configs/default.py.
      workdir: directory of the run's files (see the README).
      command: what the user typed, for run.json and for the message that says how to resume.

    Returns:
      The contents of result.json.

    Raises:
      ValueError: the config is inconsistent, its data are not there or have changed since the run was started, or the
        workdir holds another config's run or one that is past num_steps.
      NonFiniteLossError: the loss is not finite; the checkpoints are left as they were.
      InterruptedRunError: the user stopped the run; it is saved.
    """
    check_config(config)
    workdir = Path(workdir).expanduser()
    splits = None
    if not config.model.event_shape:
        shape = saved_event_shape(workdir)
        if shape is None:
            splits = load_data(config, None)
            shape = splits.train.x.shape[1:]
        config = with_event_shape(config, shape)
    config = with_classes(with_levels(config), saved_classes(workdir))
    flow = create(config)
    files = Workdir(workdir, config)
    result = files.result()
    if result is not None and result["num_steps"] == config.num_steps:
        print(f"{files.path} holds this finished run")
        print(describe_result(result))
        return result
    newest = newest_step(workdir)
    if newest is not None and newest > config.num_steps:
        raise ValueError(
            f"expected num_steps of at least {newest}, the step that the run in {shorten(workdir, 150)} has reached; "
            f"got {config.num_steps}: raise it, or use another --workdir"
        )
    check_batch_size(config.batch_size)
    check_penalty(config, flow)
    optimizer, schedule = make_optimizer(config)
    data = RunData(files.path, config.dataset.allow_changed)
    whole = splits = splits or data.load(config, flow)
    if config.evaluate.num_examples:
        splits = dataclasses.replace(
            splits,
            validation=splits.validation.first(config.evaluate.num_examples),
            test=splits.test.first(config.evaluate.num_examples),
        )
    files.start()
    data.write(whole)
    run = _Run(config, flow, optimizer, schedule, splits, files, command)
    try:
        return run.run()
    finally:
        run.close()


def _describe_left_out(left_out: Mapping[str, str], most: int = 10) -> list[str]:
    """Lines about files that could not be used."""
    if not left_out:
        return []
    lines = [f"files left out because they cannot be used: {len(left_out)}"]
    lines += [f"  {shorten(name)}: {reason}" for name, reason in list(left_out.items())[:most]]
    return lines if len(left_out) <= most else [*lines, "  ... and others; all are in split_files.json"]


@jax.jit
def _all_finite(tree: Any) -> jax.Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class _Run:
    """One run: what it needs, and what it does."""

    def __init__(
        self,
        config: Config,
        flow: Flow,
        optimizer: optax.GradientTransformation,
        schedule: optax.Schedule,
        splits: Splits,
        files: Workdir,
        command: str | None,
    ):
        self.config, self.flow, self.schedule, self.splits, self.files = config, flow, schedule, splits, files
        self.command = command
        self.unit = unit(flow)
        init_key, self.key, self.sample_key = jax.random.split(jax.random.key(config.seed), 3)
        self.step_fn = parallel_train_step(
            flow,
            optimizer,
            l2=config.optimizer.l2,
            flip=config.dataset.flip,
            noise=noise_deviations(config, splits),
            ema_decay=config.ema_decay,
            steps_per_dispatch=config.steps_per_dispatch,
        )
        self.eval_fn = parallel_eval_step(flow)
        self.train_mode_eval_fn = parallel_eval_step(flow, train_mode=True)
        self.checkpoints = Checkpoints(files.path, keep=config.checkpoint.keep)
        self.best = Best()
        first = self._first_examples()
        self.state = jax.jit(create_state, static_argnums=(0, 2, 3))(
            flow, init_key, optimizer, config.ema_decay, first["x"], first.get("context")
        )
        restored = self.checkpoints.restore(self.state)
        if restored is not None:
            self.state, self.best = restored
        self.state = replicate(self.state)
        self.step = int(self.state.step)
        self.resumed = restored is not None
        self.log = MetricsLog(files, self.step)
        self.profile = Profile(files.path / "profile", config.profile, self.step)
        self.pending: list[tuple[dict[str, jax.Array], int]] = []  # metrics on the device, and of how many steps
        self.last_log = (time.perf_counter(), self.step)

    def close(self) -> None:
        self.profile.close()
        self.checkpoints.close()
        self.log.close()

    def run(self) -> dict[str, Any]:
        self._print_start()
        if self.best.step is not None:
            self._restore_best()  # now, so that the run goes on from the best that is left if this is lost
        first_step = self.step
        with StopRequest() as stop:
            self._train(stop)
        if self.profile.close():
            print(f"profile: {self.profile.path}")
        if first_step == self.step:  # it may have stopped here before num_steps was lowered to this step
            self._validate({}, tqdm(disable=True))
            self.checkpoints.note_best(self.step, self.best)
        return self._finish()

    def _print_start(self) -> None:
        splits = self.splits
        count = sum(leaf.size for leaf in jax.tree.leaves(self.state.params["params"]))
        devices = jax.devices()
        print(f"devices: {len(devices)} x {devices[0].device_kind} ({devices[0].platform})")
        print(f"model: {self.flow}")
        print(f"parameters: {count:,} trainable")
        print(
            f"data: {self.config.dataset.name}, {len(splits.train):,} train, {len(splits.validation):,} validation, "
            f"{len(splits.test):,} test"
        )
        if splits.classes:
            print(f"conditional on {len(splits.classes)} classes: {shown(splits.classes)}")
        for line in _describe_left_out(splits.left_out):
            print(line)
        print(f"workdir: {self.files.path}" + (f", resumed at step {self.step}" if self.resumed else ""))
        print("compiling (the first step takes a while) ...", flush=True)

    def _train(self, stop: StopRequest) -> None:
        config = self.config
        periods = config.checkpoint.every, config.evaluate.every, config.evaluate.log_every
        plan = dispatches(self.step, config.num_steps, config.steps_per_dispatch, *periods)

        def batch(number: int) -> dict[str, jax.Array]:
            return training_batch(
                self.splits.train, config.seed, config.batch_size, *plan[number], config.steps_per_dispatch
            )

        bar = tqdm(total=config.num_steps, initial=self.step, unit="step", dynamic_ncols=True, disable=None)
        with bar, prefetch(batch, 0, len(plan)) as batches:
            for (_, count), examples in zip(plan, batches, strict=True):
                self.state, metrics = self.step_fn(self.state, examples, self.key, count)
                self.step += count
                self.pending.append((metrics, count))
                bar.update(count)
                if self.profile.after(self.step, metrics):
                    bar.write(f"profile: {self.profile.path}")
                is_last = self.step == config.num_steps
                must_save = is_last or self.step % config.checkpoint.every == 0
                must_evaluate = is_last or self.step % config.evaluate.every == 0
                if stop.requested or must_save or must_evaluate or self.step % config.evaluate.log_every == 0:
                    row = self._fetch_metrics()
                    if must_evaluate:
                        self._validate(row, bar)
                    self._show(row, bar)
                    stopping = stop.requested  # it may have come while the metrics were fetched
                    if stopping or must_save or self.best.step == self.step:
                        self._check_finite()
                        self.log.sync()
                        self.checkpoints.save(self.state, self.best)
                else:
                    stopping = False
                if stopping and not is_last:
                    self.checkpoints.wait()
                    raise InterruptedRunError(
                        f"stopped and saved at step {self.step}; resume with: {self.command or 'the same call'}"
                    )

    def _first_examples(self) -> dict[str, Any]:
        """What layers that are initialized from data see: the first batch, as it is augmented then, or more.

        Rows of tables come without `dataset.noise`, as they are evaluated.
        """
        num = min(self.config.init_examples or self.config.batch_size, len(self.splits.train))
        batch = self.splits.train.batch(batch_indices(self.config.seed, 0, num, len(self.splits.train)))
        key = jax.random.fold_in(self.key, 0)
        x = augment(
            key, jnp.arange(num), jnp.asarray(batch["x"]), flip=self.config.dataset.flip, shape=self.flow.event_shape
        )
        return {**batch, "x": x}

    def _fetch_metrics(self) -> dict[str, float]:
        """Means of the metrics since the last row; raises NonFiniteLossError."""
        fetched = []
        for metrics, count in jax.device_get(self.pending):
            fetched += [{name: np.ravel(value)[i] for name, value in metrics.items()} for i in range(count)]
        first_step = self.step - len(fetched) + 1
        for offset, metrics in enumerate(fetched):
            if not all(math.isfinite(value) for value in metrics.values()):
                self._raise_non_finite(first_step + offset, metrics)
        self.pending = []
        now, (then, step) = time.perf_counter(), self.last_log
        self.last_log = (now, self.step)
        return {
            "train": float(np.mean([m["score"] for m in fetched])),
            "gradient_norm": float(np.mean([m["gradient_norm"] for m in fetched])),
            "learning_rate": float(np.asarray(self.schedule(self.step - 1))),
            "examples_per_second": (self.step - step) * self.config.batch_size / (now - then),
        }

    def _raise_non_finite(self, step: int, metrics: dict[str, Any]) -> None:
        loss, norm = float(metrics["score"]), float(metrics["gradient_norm"])
        raise self._non_finite(f"loss {loss} and gradient norm {norm} at step {step}")

    def _check_finite(self) -> None:
        """Raise NonFiniteLossError if the last update left parameters that are not finite: they are not saved."""
        if not _all_finite((self.state.params, self.state.ema)):
            raise self._non_finite(f"parameters that are not finite after step {self.step}")

    def _non_finite(self, what: str) -> NonFiniteLossError:
        self.checkpoints.wait()
        steps = self.checkpoints.steps()
        last = f"the last good checkpoint is step {steps[0]}" if steps else "there is no checkpoint yet"
        return NonFiniteLossError(
            f"{what}; {last} in {self.files.path}: try a lower learning_rate, schedule.warmup_steps, or a lower "
            "optimizer.clip_norm"
        )

    def _validate(self, row: dict[str, float], bar: tqdm) -> None:
        params = evaluation_params(self.state)
        mean, standard_error = self._evaluate(params, self.splits.validation)
        row.update(validation=mean, validation_standard_error=standard_error)
        batch_statistics = ""
        if params["batch_stats"]:
            train_mode = float(
                evaluate_train_mode(
                    self.train_mode_eval_fn, params, self.splits.validation, self.config.batch_size
                ).mean(dtype=np.float64)
            )
            row.update(validation_train_mode=train_mode)
            batch_statistics = f" (with batch statistics {train_mode:.3f})"
        if not math.isfinite(mean):
            raise NonFiniteLossError(
                f"validation result {mean} at step {self.step} of {self.files.path}: try a lower learning_rate"
            )
        self.best = self.best.after(self.step, cost(self.flow, mean))
        train = f"train {row['train']:.3f}, " if "train" in row else ""
        bar.write(
            f"step {self.step}: {train}validation {mean:.3f}{batch_statistics}, "
            f"best {cost(self.flow, self.best.cost):.3f} at step {self.best.step} {self.unit}"
        )
        if self.flow.levels is not None:  # pictures of vectors wait for the end: they take longer than the training
            path = self.files.path / "samples" / f"step_{self.step:08d}.png"
            attempt(path, self._save_samples, params, path)
        self.last_log = (time.perf_counter(), self.step)  # evaluation is no training time

    def _show(self, row: dict[str, float], bar: tqdm) -> None:
        self.log.write(self.step, row)
        bar.set_postfix_str(f"{row['train']:.3f} {self.unit}, {row['examples_per_second']:.0f} examples/s")

    def _save_samples(self, params: Params, path: Path, continuous: Path | None = None) -> None:
        num = self.config.evaluate.num_samples
        pictures.save_samples(self.flow, params, self.sample_key, num, self.splits, path, continuous)

    def _evaluate(self, params: Params, examples: Examples) -> tuple[float, float]:
        """The mean of the examples' scores, and its standard error."""
        return mean_and_standard_error(evaluate(self.eval_fn, params, examples, self.config.evaluate.batch_size))

    def _restore_best(self) -> Params:
        """The parameters of the best step, or of the best that is left, which is said, if its checkpoint is lost."""
        self.checkpoints.wait()
        assert self.best.step is not None  # there was an evaluation
        try:
            return self._restore(self.best.step)
        except ValueError as error:
            warn(f"the checkpoint of the best step {self.best.step} is lost ({describe_error(error)})")
        if self.best.step in self.checkpoints.steps():
            self.checkpoints.put_aside([self.best.step])
        if self.best.step == self.step:  # its state is still in memory
            self.checkpoints.save(self.state, self.best)
            return evaluation_params(self.state)
        left = self.checkpoints.steps()
        self.best, best_params = self.best.lost(), None
        for step in reversed(left):
            try:
                params = self._restore(step)
            except ValueError as error:
                warn(f"checkpoint {step} cannot be used ({describe_error(error)})")
                continue
            mean, _ = self._evaluate(replicate(params), self.splits.validation)
            self.best = self.best.after(step, cost(self.flow, mean))
            if self.best.step == step:
                best_params = params
        if best_params is None:
            raise ValueError(
                f"expected a usable checkpoint in {shorten(self.checkpoints.directory, 150)}; got none with a finite "
                "validation result: start again in a new workdir"
            )
        warn(f"the best that is left is step {self.best.step} of {left}")
        self.checkpoints.note_best(self.step, self.best)
        return best_params

    def _restore(self, step: int) -> Params:
        name = "ema" if self.config.ema_decay else "params"
        return self.checkpoints.restore_item(step, name, self.state.params)

    def _finish(self) -> dict[str, Any]:
        """Evaluate the best step on the test set, and write what a finished run has: first the result."""
        params = self._restore_best()
        mean, standard_error = self._evaluate(replicate(params), self.splits.test)
        result = {
            "mean": mean,
            "standard_error": standard_error,
            "unit": self.unit,
            "split": self.config.dataset.test,
            "num_examples": len(self.splits.test),
            "step": self.best.step,
            "num_steps": self.config.num_steps,
            "validation": cost(self.flow, self.best.cost),
            "ema": bool(self.config.ema_decay),
            "seed": self.config.seed,
            "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
            "jax": jax.__version__,
        }
        if self.best.lost_step is not None:
            result["lost_best"] = {
                "step": self.best.lost_step,
                "validation": cost(self.flow, self.best.lost_cost),
            }
        grid = pictures.plane_density(self.flow, params, self.splits.test.x)
        if grid is not None:
            result["density_sum"] = grid.mass
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        write_json(self.files.run_path, {"command": self.command, "date": date, "version": realnvp_jax.__version__})
        write_json(self.files.result_path, result)
        self._draw(params, grid)
        print(describe_result(result), flush=True)
        return result

    def _draw(self, params: Params, grid: plots.DensityGrid | None) -> None:
        """Write the pictures of a finished run; its result is written already, and needs none of them."""
        samples, curves = self.files.path / "samples.png", self.files.path / "curves.png"
        drawn = []
        if attempt(samples, self._save_samples, params, samples, samples.with_name("samples_continuous.png")):
            drawn.append(f"samples: {samples}")
        if grid is not None:
            pictures.save_plane(self.flow, params, self.splits.test.x, grid, self.files.path)
            print(f"density on a grid of {grid.density.size:,} points: sums to {grid.mass:.4f}")
        if attempt(curves, plots.save_curves, self.files.metrics_path, curves, self.unit):
            drawn.append(f"curves: {curves}")
        if drawn:
            print("  ".join(drawn))


def command_line(arguments: list[str]) -> str:
    """The command that these arguments came from."""
    return shlex.join(["python", *arguments])
