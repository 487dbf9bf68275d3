"""Where the metrics of a run go besides metrics.csv: TensorBoard files, and the tracker that `config.tracker` names.

A failing tracker cannot cost a run its result: its first failure is a warning, and the run continues without it.
"""

import abc
import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from realnvp_jax.models.create import Config
from realnvp_jax.registry import part_class, register
from realnvp_jax.runs.decorations import attempt
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.saved_config import flatten

Metrics = Mapping[str, float]


class Tracker(abc.ABC):
    """Base class of the parts of the kind "tracker". A subclass overrides only the methods that it needs.

    Class attributes:
      package: the package that it imports, "" for none.
    """

    package = ""

    @abc.abstractmethod
    def start(self, workdir: Path, config: Mapping[str, Any], step: int, run_id: str | None) -> str | None:
        """Start tracking, or continue after a restart.

        Args:
          workdir: the run's directory.
          config: every key in dotted form -> value.
          step: the step that the run starts from; later steps may have been reported before the restart.
          run_id: what `start` returned when the run was first started; None at that first start.

        Returns:
          A name by which to find this run again after a restart, or None.
        """

    @abc.abstractmethod
    def metrics(self, step: int, values: Metrics) -> None:
        """The metrics after a step; all are finite."""

    def image(self, step: int, name: str, path: Path) -> None:  # noqa: B027
        """A picture that was written as a PNG file."""

    def result(self, values: Mapping[str, Any]) -> None:  # noqa: B027
        """The contents of result.json."""

    def close(self) -> None:  # noqa: B027
        """Flush and release everything."""


class TensorBoard(Tracker):
    """TensorBoard files in the workdir, by tensorboardX."""

    def start(self, workdir, config, step, run_id):
        """Open the files, and hide what was written after `step`."""
        from tensorboardX import SummaryWriter

        numbers = bool | int | float
        self._config = {key: value if isinstance(value, numbers) else str(value) for key, value in config.items()}
        self._writer = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
        self._writer.add_text("config", "\n".join(f"    {key} = {value!r}" for key, value in config.items()), step)

    def metrics(self, step, values):
        """Scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def image(self, step, name, path):
        """An image."""
        with Image.open(path) as picture:
            self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def result(self, values):
        """Log hyperparameters together with the test result."""
        self._writer.add_hparams(
            self._config, {"test/mean": values["mean"]}, name="hparams", global_step=values["step"]
        )

    def close(self):
        """Close the files."""
        self._writer.close()


@register("tracker", "wandb")
class Wandb(Tracker):
    """Weights & Biases. Its own environment variables (WANDB_PROJECT, WANDB_MODE, ...) apply."""

    package = "wandb"

    def start(self, workdir, config, step, run_id):
        """Start a run, or resume the one of this workdir."""
        self._wandb: Any = importlib.import_module("wandb")
        run = self._wandb.init(
            name=workdir.name, dir=str(workdir), config=dict(config), id=run_id, resume="allow" if run_id else None
        )
        return run.id

    def metrics(self, step, values):
        """Log at the step."""
        self._wandb.log(dict(values), step=step)

    def image(self, step, name, path):
        """Log an image."""
        self._wandb.log({name: self._wandb.Image(str(path))}, step=step)

    def result(self, values):
        """The run's summary."""
        self._wandb.run.summary.update({f"test_{key}": value for key, value in values.items()})

    def close(self):
        """Finish the run."""
        self._wandb.finish()


@register("tracker", "mlflow")
class MLflow(Tracker):
    """MLflow. Its own environment variables (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ...) apply."""

    package = "mlflow"

    def start(self, workdir, config, step, run_id):
        """Start a run, or resume the one of this workdir."""
        self._mlflow: Any = importlib.import_module("mlflow")
        run = self._mlflow.start_run(run_id=run_id, run_name=None if run_id else workdir.name)
        if run_id is None:
            self._mlflow.log_params(dict(config))
        return run.info.run_id

    def metrics(self, step, values):
        """Log at the step."""
        self._mlflow.log_metrics(dict(values), step=step)

    def image(self, step, name, path):
        """Keep the file as an artifact."""
        self._mlflow.log_artifact(str(path), artifact_path=name)

    def result(self, values):
        """Log the test result as metrics, and result.json as an artifact."""
        self._mlflow.log_metrics({"test_mean": values["mean"]}, step=values["step"])
        self._mlflow.log_dict(dict(values), "result.json")

    def close(self):
        """End the run."""
        self._mlflow.end_run()


@dataclasses.dataclass(frozen=True)
class FunctionTracker(Tracker):
    """A function (step, metrics) as a tracker.

    Attributes:
      function: what is called with each row of metrics.
    """

    function: Callable[[int, dict[str, float]], Any]

    def start(self, workdir, config, step, run_id):
        """Nothing to do."""

    def metrics(self, step, values):
        """Call the function."""
        self.function(step, dict(values))


def find_tracker(config: Config, function: Callable[..., Any] | None = None) -> Tracker | None:
    """The tracker that a config names, or one that calls a function; None if there is neither.

    Raises:
      ValueError: no such tracker is registered, or its package is not installed.
    """
    if function is not None:
        return FunctionTracker(function)
    if not config.tracker:
        return None
    tracker = part_class("tracker", config.tracker)()
    if tracker.package and importlib.util.find_spec(tracker.package) is None:
        raise ValueError(
            f"expected the package {tracker.package} for tracker={config.tracker!r}; got none: "
            f"pip install {tracker.package}, or leave tracker empty"
        )
    return tracker


class Trackers:
    """All trackers of a run; a tracker that fails is not called again.

    Args:
      workdir: the run's directory. `tracker.json` in it keeps the id of the run at its tracker.
      config: the run's config.
      step: the step that the run starts from.
      chosen: the tracker of the config, or None.
    """

    def __init__(self, workdir: Path, config: Config, step: int, chosen: Tracker | None):
        self._ids_path = workdir / "tracker.json"
        self._started: dict[str, Tracker] = {}
        named: dict[str, Tracker] = {str(workdir / "tensorboard"): TensorBoard()}
        if chosen is not None:
            named[f"tracker {config.tracker or 'function'}"] = chosen
        start = functools.partial(self._start, workdir=workdir, config=flatten(config), step=step)
        for what, tracker in named.items():
            self._started[what] = tracker
            self._try(what, start)

    def metrics(self, step: int, values: Metrics) -> None:
        """Report the metrics after a step, except those that are not finite."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._each(lambda tracker: tracker.metrics(step, finite))

    def image(self, step: int, name: str, path: Path) -> None:
        """Report a picture that was written."""
        self._each(lambda tracker: tracker.image(step, name, path))

    def result(self, values: Mapping[str, Any]) -> None:
        """Report the test result."""
        self._each(lambda tracker: tracker.result(values))

    def close(self) -> None:
        """Close all."""
        self._each(lambda tracker: tracker.close())
        self._started = {}

    def _start(self, tracker: Tracker, *, workdir: Path, config: Mapping[str, Any], step: int) -> None:
        ids = json.loads(self._ids_path.read_text(encoding="utf-8")) if self._ids_path.is_file() else {}
        name = type(tracker).__name__
        run_id = tracker.start(workdir, config, step, ids.get(name))
        if run_id is not None and run_id != ids.get(name):
            write_json(self._ids_path, {**ids, name: run_id})

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for what in list(self._started):
            self._try(what, call)

    def _try(self, what: str, call: Callable[[Tracker], None]) -> None:
        tracker = self._started[what]
        if not attempt(what, call, tracker):
            del self._started[what]
            with contextlib.suppress(Exception):  # it may not have started
                tracker.close()
