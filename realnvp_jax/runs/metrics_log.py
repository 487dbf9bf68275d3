"""The metrics of a run over its steps: metrics.csv."""

import csv
import io
import os
import shutil
import time
from pathlib import Path
from typing import Any

from realnvp_jax.runs.decorations import warn
from realnvp_jax.runs.files import write_text, writing
from realnvp_jax.runs.workdir import Workdir


class MetricsLog:
    """metrics.csv. A resumed run drops the rows after its checkpoint and continues from there.

    Damaged lines are left out; the original file is moved to damaged/.

    Args:
      workdir: the run's files.
      step: the step that the run starts from.
    """

    COLUMNS: tuple[str, ...] = (
        "step",
        "train",
        "gradient_norm",
        "update_norm",
        "parameter_norm",
        "log_scale",
        "skipped",
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
            warn(f"damaged lines of {path} are left out ({num_damaged}); the original file is now {aside}")
        text = io.StringIO()
        writer = csv.DictWriter(text, self.COLUMNS, extrasaction="ignore")
        writer.writeheader()
        kept = [row for row in rows if int(row["step"]) <= step]
        writer.writerows(kept[:-1])
        self._start = text.tell()  # of the latest row
        writer.writerows(kept[-1:])
        self._latest: dict[str, Any] = kept[-1] if kept else {}
        write_text(path, text.getvalue())
        self._path = path
        with writing(path):
            self._file = path.open("r+", newline="", encoding="utf-8")
            self._file.seek(0, io.SEEK_END)
        self._writer = csv.DictWriter(self._file, self.COLUMNS, extrasaction="ignore")

    def values(self, step: int) -> dict[str, float]:
        """What the latest row has, if it is this step's."""
        if int(self._latest.get("step", -1)) != step:
            return {}
        return {name: float(value) for name, value in self._latest.items() if name != "step" and value != ""}

    def write(self, step: int, values: dict[str, float]) -> None:
        """Add a row, or complete the latest one if it is this step's."""
        with writing(self._path):
            row: dict[str, Any] = {"step": step, **values}
            if int(self._latest.get("step", -1)) == step:
                row |= {name: value for name, value in self._latest.items() if value != ""}
                self._file.seek(self._start)
            self._start, self._latest = self._file.tell(), row
            self._writer.writerow(row)
            self._file.truncate()  # flushes

    def sync(self) -> None:
        """Wait until the rows are on the disk."""
        with writing(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        with writing(self._path):
            self._file.close()


def read_metrics(path: Path) -> tuple[list[dict[str, str]], int]:
    """The rows of a metrics.csv without its damaged lines, and the number of these."""
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
