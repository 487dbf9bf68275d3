"""How the run and the report were made: curves, commands, versions, devices, data and config."""

import datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

import realnvp_jax
from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Gallery, Picture, Section, Table, draw
from realnvp_jax.analysis.run import SPLITS
from realnvp_jax.models.pure import count_parameters
from realnvp_jax.plots.curves import save_curves
from realnvp_jax.runs.history import commit, read_history, without_paths
from realnvp_jax.runs.saved_config import flatten
from realnvp_jax.training.steps import unit

_PLACES = ("dataset.path", "dataset.data_dir", "dataset.manual_dir", "dataset.cache_dir")  # keys whose values are paths


def curves_section(material: Material) -> Section:
    """Training and validation over the steps."""
    run = material.run
    metrics = run.workdir / "metrics.csv"
    if not metrics.is_file():
        return Section("Training", "The workdir has no metrics.csv, so there are no curves.")
    return Section("Training", "", (), [Gallery([_curves(run, metrics)])])


def _curves(run: Any, metrics: Any) -> Picture:
    caption = "Scores of training batches and of the validation split over the steps."
    return draw(caption, lambda path: save_curves(metrics, path, unit(run.flow)))


def provenance_section(material: Material, command: str) -> Section:
    """Everything that is needed to make the run and the report again, with only the last component of every path.

    Args:
      material: the material of the report.
      command: the command that makes the report.
    """
    run = material.run
    here = [
        ("report made by", without_paths(command)),
        ("date", datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")),
        ("realnvp_jax", f"{realnvp_jax.__version__}" + (f", commit {commit()}" if commit() else "")),
        ("jax", jax.__version__),
        ("numpy", np.__version__),
        ("devices", f"{jax.device_count()} x {jax.devices()[0].device_kind}"),
        ("workdir", run.workdir.resolve().name),
        ("parameters", f"{count_parameters(run.flow):,}, of step {run.step:,}" + (", averaged" if run.ema else "")),
        ("flow", repr(run.flow)),
    ]
    config = [(key, _published(key, str(value))) for key, value in sorted(flatten(run.config).items())]
    parts = [
        Table(("this report", ""), here),
        *_starts(material),
        *_data(material),
        Table(("key", "value"), config, "Every key of the config", is_folded=True),
    ]
    return Section("How it was made", "", (), parts)


def _published(key: str, value: str) -> str:
    """A value of the config, without the folders where one machine keeps its files."""
    return Path(value).name if key in _PLACES or value.startswith(("/", "~")) else value


def _starts(material: Material) -> list[Table]:
    keys = ("date", "command", "step", "version", "commit", "jax", "devices")
    rows = []
    for start in read_history(material.run.workdir / "run.json"):
        cells = {key: "" if start.get(key) is None else str(start[key]) for key in keys}
        rows.append(tuple((cells | {"command": without_paths(cells["command"])}).values()))
    return [Table(keys, rows, "Starts of the training")] if rows else []


def _data(material: Material) -> list[Table]:
    run = material.run
    found = run.fingerprint
    splits = {name: len(run.split(name)) for name in SPLITS}
    config = run.config.dataset
    sizes = found.examples if found is not None else {}
    rows = [
        (name, _published(name, str(config.get(name, ""))), f"{sizes.get(name, used):,}", f"{used:,}")
        for name, used in splits.items()
    ]
    tables = [
        Table(
            ("split", "taken from", "examples", "used"), rows, f"Data: {config.name} {Path(config.path).name}".rstrip()
        )
    ]
    if found is not None:
        tables.append(Table(("data", "SHA-256"), sorted(found.sha256.items())))
    return tables
