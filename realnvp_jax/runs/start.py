"""`train`: from a config and a workdir to a trained flow and its test result."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from realnvp_jax.checks import check_independent
from realnvp_jax.models.create import Config, create, is_of_vectors
from realnvp_jax.runs.checkpoints import newest_step
from realnvp_jax.runs.config_checks import check_config, check_penalty, check_size
from realnvp_jax.runs.config_keys import filled
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.result import describe_result
from realnvp_jax.runs.run_data import RunData
from realnvp_jax.runs.setup import check_disjoint, completed, evaluated, make_optimizer
from realnvp_jax.runs.signals import StopRequest
from realnvp_jax.runs.trackers import find_tracker
from realnvp_jax.runs.trainer import Trainer
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.text import shorten
from realnvp_jax.training.batch_statistics import check_batch_statistics
from realnvp_jax.training.parallel import check_batch_size

_NOTHING_SAVED = "stopped before the first step; nothing had to be saved"


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
      tracker: called as tracker(step, metrics) with each row of metrics, instead of `config.tracker`.

    Returns:
      The contents of result.json.

    Raises:
      ValueError: the config is inconsistent, its data do not exist or have changed since the run was started, or the
        workdir holds a run of another config or one that is past num_steps.
      NonFiniteLossError: the loss is not finite; the checkpoints are left as they were.
      InterruptedRunError: the user stopped the run, which was saved.
    """
    with StopRequest() as stop:
        return _train(config, workdir, command, tracker, stop)


def _train(
    config: Config,
    workdir: str | Path,
    command: str | None,
    tracker: Callable[[int, dict[str, float]], Any] | None,
    stop: StopRequest,
) -> dict[str, Any]:
    config = get_config(config) if isinstance(config, str | Path) else filled(config)
    check_config(config)
    chosen = find_tracker(config, tracker)
    workdir = Path(workdir).expanduser()
    config, splits = completed(config, workdir)
    flow = create(config)
    files = Workdir(workdir, config)
    result = files.result()
    num_importance_samples = config.evaluate.num_importance_samples
    if (
        result is not None
        and result["num_steps"] == config.num_steps
        and result.get("num_importance_samples", 1) == num_importance_samples
    ):
        print(f"{files.path} holds this finished run")
        print(describe_result(result))
        return result
    newest = newest_step(workdir)
    if newest is not None and newest > config.num_steps:
        raise ValueError(
            f"expected num_steps of at least {newest}, the step that the run in {shorten(workdir, 150)} has reached; "
            f"got {config.num_steps}: raise it, or use another --workdir"
        )
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
    stop.check(_NOTHING_SAVED)
    try:
        files.start()
        data.write(splits)
        splits = evaluated(splits, config.evaluate.num_examples)
        trainer = Trainer(Experiment(config, flow, optimizer, schedule, splits, files, command, chosen), stop)
        try:
            return trainer.run()
        finally:
            trainer.close()
    finally:
        files.close()
