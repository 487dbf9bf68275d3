"""The files of a run, and the rules for coming back to it."""

import csv
import io
import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from realnvp_jax.models.create import Config, check_version
from realnvp_jax.text import describe_error, shorten
from realnvp_jax.training.decorations import attempt, warn

_MAY_DIFFER = (
    "num_steps",
    "evaluate.",
    "checkpoint.",
    "dataset.data_dir",
    "dataset.manual_dir",
    "dataset.cache_dir",
    "dataset.strict",
    "dataset.allow_changed",
    "memory",
    "unroll",
    "profile",
    "steps_per_dispatch",
)


def flatten(config: Config) -> dict[str, Any]:
    """{"dataset.name": ...}: every key with its dots. Tuples become lists, as in JSON."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
        else:
            flat[key] = list(value) if isinstance(value, tuple) else value
    return flat


def write_text(path: Path, text: str) -> None:
    """Write atomically: even after a power cut, a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)  # the new name
    finally:
        os.close(directory)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """What `write_json` wrote.

    Args:
      path: the file.
      remedy: what to do about a damaged one.

    Raises:
      ValueError: the file is damaged.
    """
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(
            f"expected {shorten(path, 150)} as it was written; got a damaged file ({describe_error(error)}): {remedy}"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(f"expected {shorten(path, 150)} as it was written; got a damaged file: {remedy}")
    return value


_UNREADABLE = "[\\"  # Orbax's storage takes them for patterns
_CONFIG_REMEDY = "put back a copy of it, or use another --workdir"


def saved_event_shape(path: Path) -> tuple[int, ...] | None:
    """The shape of the data of the run in a directory, or None if there is no run.

    Raises:
      ValueError: its config is damaged.
    """
    config = path / "config.json"
    return tuple(read_json(config, _CONFIG_REMEDY)["model"]["event_shape"]) if config.is_file() else None


def read_result(path: Path) -> dict[str, Any]:
    """The contents of a result.json.

    Raises:
      ValueError: it is damaged.
    """
    remedy = "start the run again, which evaluates again"
    result = read_json(path, remedy)
    try:
        describe_result(result)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"expected a test result in {shorten(path, 150)}; got a damaged one ({describe_error(error)}): {remedy}"
        ) from None
    return result


def describe_result(result: dict[str, Any]) -> str:
    """The line that says the test result."""
    which = f"step {result['step']} of {result['num_steps']} by validation"
    lost = f", the better step {result['lost_best']['step']} is lost" if "lost_best" in result else ""
    average = ", moving average" if result["ema"] else ""
    return (
        f"test: {result['mean']:.3f} +- {result['standard_error']:.3f} {result['unit']} "
        f"({result['num_examples']} examples, {which}{lost}{average})"
    )


def read_metrics(path: Path) -> tuple[list[dict[str, str]], int]:
    """The rows of a metrics.csv, and how many of its lines are damaged: they are left out."""
    *lines, unfinished = path.read_bytes().decode(errors="replace").replace("\r", "").split("\n")
    columns = lines[0].split(",") if lines else []
    has_header = "step" in columns
    rows = [dict(zip(columns, line.split(","), strict=False)) for line in lines[1:] if line.count(",") < len(columns)]
    rows = [row for row in rows if has_header and len(row) == len(columns) and _is_metrics_row(row)]
    return rows, len(lines) - has_header + bool(unfinished) - len(rows)


def _is_metrics_row(row: dict[str, str]) -> bool:
    try:
        int(row["step"])
        for value in row.values():
            float(value or "nan")
    except ValueError:
        return False
    return True


def saved_classes(path: Path) -> tuple[str, ...]:
    """The names of the classes of the run in a directory, () if there is no run or it has none."""
    config = path / "config.json"
    return tuple(read_json(config, _CONFIG_REMEDY)["dataset"].get("classes", ())) if config.is_file() else ()


class Workdir:
    """A run's directory.

    Args:
      path: the directory; `start` makes it if it does not exist.
      config: the run's config.

    Raises:
      ValueError: the directory holds a run of another config, or one whose config is damaged or missing; or its path
        is one that checkpoints cannot be read back from.
    """

    def __init__(self, path: Path, config: Config):
        self.path = path
        self._config = config
        if any(character in str(path.resolve()) for character in _UNREADABLE):
            raise ValueError(
                f"expected a --workdir whose full path has none of the characters {' '.join(_UNREADABLE)} , with which "
                f"checkpoints cannot be read back; got {shorten(path.resolve(), 150)}: choose another"
            )
        if self.config_path.is_file():
            check_version(ConfigDict(read_json(self.config_path, _CONFIG_REMEDY)), shorten(path, 100))
            self._check_same_run(config)
        elif any(path.glob("checkpoints/*")):
            raise ValueError(
                f"expected config.json beside the checkpoints in {shorten(path, 150)}; got none, so what they were "
                f"trained with is unknown: {_CONFIG_REMEDY}"
            )

    def start(self) -> None:
        """Make the directory and write the config."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config_path, json.loads(self._config.to_json()))

    @property
    def config_path(self) -> Path:
        """The config, as JSON."""
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        """One row for each logged step."""
        return self.path / "metrics.csv"

    @property
    def result_path(self) -> Path:
        """The test result."""
        return self.path / "result.json"

    @property
    def run_path(self) -> Path:
        """Command, date and version of a finished run."""
        return self.path / "run.json"

    def result(self) -> dict[str, Any] | None:
        """The test result of a finished run; one that is damaged is named on stderr, and is none."""
        if not self.result_path.is_file():
            return None
        try:
            return read_result(self.result_path)
        except ValueError:
            warn(f"{self.result_path} is damaged: the run is evaluated again")
            return None

    def _check_same_run(self, config: Config) -> None:
        before = flatten(ConfigDict(read_json(self.config_path, _CONFIG_REMEDY)))
        now = flatten(config)
        keys = sorted(set(before) | set(now))
        may_differ = _MAY_DIFFER
        if (self.path / "data.json").is_file():  # which tells whether the data are the same, wherever they are
            may_differ += ("dataset.path",)
        changed = [k for k in keys if before.get(k) != now.get(k) and not k.startswith(may_differ)]
        if changed:
            shown = [f"{k} was {_short(before.get(k))}, now {_short(now.get(k))}" for k in changed[:3]]
            more = f"; also {', '.join(changed[3:])}" if len(changed) > 3 else ""
            raise ValueError(
                f"expected the config of the run in {self.path}; {'; '.join(shown)}{more}: "
                "use another --workdir, or the run's own values"
            )


def _short(value: Any) -> str:
    """A value of a config inside a message; the names of classes may be many."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class MetricsLog:
    """metrics.csv and TensorBoard files. A resumed run drops the rows after its checkpoint and goes on.

    Damaged lines are left out of metrics.csv; the file with them is moved to damaged/. A run goes on without
    TensorBoard files once one cannot be written.

    Args:
      workdir: the run's files.
      step: the step that the run starts from.
    """

    COLUMNS: tuple[str, ...] = (
        "step",
        "train",
        "gradient_norm",
        "learning_rate",
        "examples_per_second",
        "validation",
        "validation_standard_error",
        "validation_train_mode",
    )

    def __init__(self, workdir: Workdir, step: int):
        path = workdir.metrics_path
        rows, num_damaged = read_metrics(path) if path.is_file() else ([], 0)
        if num_damaged:
            aside = workdir.path / "damaged" / f"metrics_{time.time_ns()}.csv"
            aside.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, aside)
            warn(f"damaged lines of {path} are left out ({num_damaged}); the file as it was is {aside}")
        text = io.StringIO()
        writer = csv.DictWriter(text, self.COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row for row in rows if int(row["step"]) <= step)
        write_text(path, text.getvalue())
        self._file = path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, self.COLUMNS)
        self._tensorboard_path = workdir.path / "tensorboard"
        self._tensorboard: Any = None
        attempt(self._tensorboard_path, self._open_tensorboard, step)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a row."""
        self._writer.writerow({"step": step, **values})
        self._file.flush()
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        if self._tensorboard and not attempt(self._tensorboard_path, self._write_scalars, step, finite):
            self._tensorboard = None

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        if self._tensorboard:
            attempt(self._tensorboard_path, self._tensorboard.close)

    def _open_tensorboard(self, step: int) -> None:
        from tensorboardX import SummaryWriter

        self._tensorboard = SummaryWriter(str(self._tensorboard_path), purge_step=step + 1)

    def _write_scalars(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)
