"""The files of a run, and the rules for coming back to it."""

import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from realnvp_jax.data.examples import Splits
from realnvp_jax.data.images import ImageData
from realnvp_jax.data.quote import quote
from realnvp_jax.models.create import PLAIN_EXECUTION, Config, check_version

_MAY_DIFFER = (
    "num_steps",
    "evaluate.",
    "checkpoint.",
    "dataset.data_dir",
    "dataset.manual_dir",
    "dataset.cache_dir",
    "dataset.strict",
    "memory",
    "unroll",
    "profile",
    "steps_per_dispatch",
)


# what keys mean to a run whose version did not have them yet
_OF_OLDER_RUNS = {
    **PLAIN_EXECUTION,
    "profile": 0,
    "steps_per_dispatch": 1,
    "dataset.classes": [],
} | {
    f"dataset.{field.name}": field.default
    for field in dataclasses.fields(ImageData)
    if field.default is not dataclasses.MISSING and field.name not in ("num_train", "seed")
}


def flatten(config: Config) -> dict[str, Any]:
    """{"dataset.name": ...}: every key with its dots. Tuples become lists, as in JSON."""
    flat = {}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            flat.update({f"{key}.{k}": v for k, v in flatten(value).items()})
        else:
            flat[key] = list(value) if isinstance(value, tuple) else value
    return flat


def write_json(path: Path, value: Any) -> None:
    """Write atomically: a reader sees the old file or the new one."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    temporary.replace(path)


def saved_event_shape(path: Path) -> tuple[int, ...] | None:
    """The shape of the data of the run in a directory, or None if there is no run."""
    config = path / "config.json"
    return tuple(json.loads(config.read_text())["model"]["event_shape"]) if config.is_file() else None


def saved_classes(path: Path) -> tuple[str, ...]:
    """The names of the classes of the run in a directory, () if there is no run or it has none."""
    config = path / "config.json"
    return tuple(json.loads(config.read_text())["dataset"].get("classes", ())) if config.is_file() else ()


class Workdir:
    """A run's directory.

    Args:
      path: the directory; `start` makes it if it does not exist.
      config: the run's config.

    Raises:
      ValueError: the directory holds a run of another config.
    """

    def __init__(self, path: Path, config: Config):
        self.path = path
        self._config = config
        if self.config_path.is_file():
            self._check_same_run(config)

    def start(self) -> None:
        """Make the directory and write the config.

        Raises:
          ValueError: the directory holds a run of a version with other parameters.
        """
        if self.config_path.is_file():
            check_version(ConfigDict(json.loads(self.config_path.read_text())), quote(self.path, 100))
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config_path, json.loads(self._config.to_json()))

    def write_split_files(self, splits: Splits) -> None:
        """Write which files are in which split, and hashes of the images, where examples come from image files.

        Raises:
          ValueError: the run has started with other images.
        """
        if not splits.sha256:
            return
        path = self.path / "split_files.json"
        now = {
            "sha256": dict(splits.sha256),
            **{role: list(names) for role, names in splits.files.items()},
            "left out": dict(splits.left_out),
        }
        if path.is_file():
            try:
                before = dict(json.loads(path.read_text()))
            except (ValueError, TypeError):
                raise ValueError(f"expected {quote(path, 150)} as it was written; got a damaged file") from None
            self._check_same_images(before, now, path.name)
        write_json(path, now)

    def _check_same_images(self, before: dict[str, Any], now: dict[str, Any], name: str) -> None:
        if before.get("sha256") == now["sha256"]:
            return
        changed: set[str] = set()
        for role in ("train", "validation", "test"):
            changed |= set(before.get(role, ())) ^ set(now.get(role, ()))
        what = (
            f"{len(changed)} others or in another split, such as {quote(min(changed))}"
            if changed
            else "other pixels or labels"
        )
        raise ValueError(
            f"expected the images that the run in {quote(self.path, 100)} was started with, as in its {name}; "
            f"got {what}: use another --workdir"
        )

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
        """The test result of a finished run."""
        return json.loads(self.result_path.read_text()) if self.result_path.is_file() else None

    def _check_same_run(self, config: Config) -> None:
        before = flatten(ConfigDict(json.loads(self.config_path.read_text())))
        now = flatten(config)
        before = {**_OF_OLDER_RUNS, **before}
        keys = sorted(set(before) | set(now))
        changed = [k for k in keys if before.get(k) != now.get(k) and not k.startswith(_MAY_DIFFER)]
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
        from tensorboardX import SummaryWriter

        rows = []
        if workdir.metrics_path.is_file():
            with workdir.metrics_path.open() as file:
                rows = [row for row in csv.DictReader(file) if row["step"] and int(row["step"]) <= step]
        temporary = workdir.metrics_path.with_name("metrics.csv.tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(workdir.metrics_path)
        self._file = workdir.metrics_path.open("a", newline="")
        self._writer = csv.DictWriter(self._file, self.COLUMNS)
        self._tensorboard = SummaryWriter(str(workdir.path / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a row."""
        self._writer.writerow({"step": step, **values})
        self._file.flush()
        for name, value in values.items():
            if math.isfinite(value):
                self._tensorboard.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close."""
        self._file.close()
        self._tensorboard.close()
