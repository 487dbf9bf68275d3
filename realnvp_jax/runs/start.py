"""`train`: from a config and a workdir to a trained flow and its test result."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import realnvp_jax
from realnvp_jax.checks import check_independent
from realnvp_jax.data.examples import Splits
from realnvp_jax.data.fingerprint import fingerprint
from realnvp_jax.models.create import Config, create, is_of_vectors
from realnvp_jax.models.flow import Flow
from realnvp_jax.processes import check_equal, everywhere, meet, on_main, silent_unless_main
from realnvp_jax.runs.checkpoints import newest_step
from realnvp_jax.runs.config_checks import check_config, check_penalty, check_size
from realnvp_jax.runs.config_keys import filled
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.result import describe_result
from realnvp_jax.runs.run_data import RunData
from realnvp_jax.runs.saved_config import REMEDY, flatten, read_config
from realnvp_jax.runs.setup import check_disjoint, completed, evaluated, make_optimizer
from realnvp_jax.runs.signals import InterruptedRunError, StopRequest
from realnvp_jax.runs.stop import Stop
from realnvp_jax.runs.trackers import find_tracker
from realnvp_jax.runs.trainer import Trainer
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.text import shorten
from realnvp_jax.training.batch_statistics import check_batch_statistics
from realnvp_jax.training.parallel import check_batch_size
from realnvp_jax.training.steps import NonFiniteLossError

_NOTHING_SAVED = "stopped before the first step; nothing had to be saved"
_OF_A_HOST = [f"dataset.{key}" for key in ("path", "data_dir", "manual_dir", "cache_dir")]  # may differ


def train(
    config: Config,
    workdir: str | Path,
    command: str | None = None,
    tracker: Callable[[int, dict[str, float]], Any] | None = None,
) -> dict[str, Any]:
    """Train the flow of a config, or resume the run in the workdir, and return its test result.

    Args:
      config: a ConfigDict or a dict, whose missing keys take the defaults of `realnvp_jax.configs.default`; or the
        name of a config that ships ("digits", "toy2d:moons"), or the path of a config file.
      workdir: directory of the run's files (see docs/training.md).
      command: what the user typed, for run.json and for the message that says how to resume.
      tracker: called as tracker(step, metrics) with each row of metrics after updates, instead of `config.tracker`.

    Returns:
      The contents of result.json.

    Raises:
      ValueError: the config is inconsistent, its data do not exist or have changed since the run was started, or the
        workdir holds a run of another config or one that is past num_steps.
      NonFiniteLossError: the loss is not finite; the checkpoints are left as they were.
      InterruptedRunError: the run was stopped, by a signal or after `config.max_hours`, and was saved.
    """
    with StopRequest() as request, silent_unless_main():
        meet()
        try:
            result = _train(config, workdir, command, tracker, request)
        except (InterruptedRunError, NonFiniteLossError):  # which all processes raise
            meet()
            raise
        meet()  # no process leaves before the main one has closed its files
        return result


def _train(
    config: Config,
    workdir: str | Path,
    command: str | None,
    tracker: Callable[[int, dict[str, float]], Any] | None,
    request: StopRequest,
) -> dict[str, Any]:
    config, flow, files, splits = everywhere(lambda: _open(config, workdir))
    stop = Stop(request, config.max_hours)
    result = on_main(lambda: _finished_result(config, files))
    if result is not None:
        print(f"{files.path} holds this finished run")
        print(describe_result(result))
        return result
    on_main(lambda: _check_newest(config, files))
    experiment, data = everywhere(lambda: _prepare(config, flow, files, splits, command, tracker))
    check_equal(_essentials(experiment), "start all processes with the same command, versions and data")
    stop.check(_NOTHING_SAVED)
    try:
        on_main(files.start)
        on_main(lambda: data.write(experiment.splits))
        splits = evaluated(experiment.splits, config.evaluate.num_examples)
        trainer = Trainer(dataclasses.replace(experiment, splits=splits), stop)
        try:
            return trainer.run()
        finally:
            trainer.close()
    finally:
        files.close()


def _open(config: Config | str | Path, workdir: str | Path) -> tuple[Config, Flow, Workdir, Splits | None]:
    """The complete config with its flow, the workdir, and the data if they had to be loaded."""
    config = get_config(config) if isinstance(config, str | Path) else filled(config)
    check_config(config)
    workdir = Path(workdir).expanduser()
    config, splits = completed(config, workdir)
    return config, create(config), Workdir(workdir, config), splits


def _finished_result(config: Config, files: Workdir) -> dict[str, Any] | None:
    """The result of the run in the workdir, or None unless it has finished.

    A run that ended before num_steps, since its patience did, goes on with more of it.
    """
    result = files.result()
    if result is not None and "evaluate.num_examples" not in result:  # of a version before 0.12
        result = {**result, "evaluate.num_examples": read_config(files.path, REMEDY).evaluate.num_examples}
    is_finished = (
        result is not None
        and result["num_steps"] == config.num_steps
        and ("patience" not in result or 0 < config.patience <= result["patience"])
        and result.get("num_importance_samples", 1) == config.evaluate.num_importance_samples
        and result["evaluate.num_examples"] == config.evaluate.num_examples
    )
    return result if is_finished else None


def _check_newest(config: Config, files: Workdir) -> None:
    """Raise ValueError if the run in the workdir is past num_steps."""
    newest = newest_step(files.path)
    if newest is not None and newest > config.num_steps:
        raise ValueError(
            f"expected num_steps of at least {newest}, the step that the run in {shorten(files.path, 150)} has "
            f"reached; got {config.num_steps}: raise it, or use another --workdir"
        )


def _prepare(
    config: Config,
    flow: Flow,
    files: Workdir,
    splits: Splits | None,
    command: str | None,
    tracker: Callable[[int, dict[str, float]], Any] | None,
) -> tuple[Experiment, RunData]:
    """The run with its whole splits, after all checks; nothing has been written yet."""
    chosen = find_tracker(config, tracker)
    check_batch_size(config.batch_size, config.accumulate)
    check_size(config, flow)
    check_penalty(config, flow)
    check_batch_statistics(flow, config.batch_size, config.accumulate)
    optimizer, schedule = make_optimizer(config, flow)
    data = RunData(files.path, config.dataset.allow_changed)
    splits = splits or data.load(config, flow)
    if data.fingerprint is None:  # of a run that goes on, data.json says what has changed
        check_disjoint(config, splits)
        if is_of_vectors(config):
            check_independent(splits.train.x, splits.columns)
    return Experiment(config, flow, optimizer, schedule, splits, files, command, chosen), data


def _essentials(experiment: Experiment) -> dict[str, str]:
    """What has to be the same in every process, as name -> value."""
    if jax.process_count() == 1:
        return {}
    keys = {key: repr(value) for key, value in flatten(experiment.config).items() if key not in _OF_A_HOST}
    versions = {"version of realnvp_jax": realnvp_jax.__version__, "version of jax": jax.__version__}
    return {**versions, **keys, "fingerprint of the data": repr(fingerprint(experiment.splits))}
