"""The log of metrics."""

import csv

import pytest

from configs import smoke
from realnvp_jax.runs.metrics_log import MetricsLog, read_metrics
from realnvp_jax.runs.workdir import Workdir


@pytest.mark.parametrize(
    ("damage", "rows_left", "num_damaged"),
    [
        (lambda text: text, [1, 2, 3], 0),
        (lambda text: text + "\0" * 200_000, [1, 2, 3], 1),
        (lambda text: text[:-3], [1, 2], 1),
        (lambda text: text.replace("\n2,", '\n"2,'), [1, 3], 1),
        (lambda text: text + "4,x,,,,,,\r\n", [1, 2, 3], 1),
        (lambda text: text.split("\n", 1)[1], [], 3),
        (lambda _: "", [], 0),
    ],
)
def test_damaged_lines_of_metrics_are_left_out(tmp_path, capsys, damage, rows_left, num_damaged):
    workdir = Workdir(tmp_path, smoke.get_config())
    log = MetricsLog(workdir, 0)
    for step in (1, 2, 3):
        log.write(step, {"train": 0.25 * step, "validation": float("nan")})
    log.close()
    path = tmp_path / "metrics.csv"
    path.write_bytes(damage(path.read_bytes().decode()).encode())
    damaged = path.read_bytes()
    rows, count = read_metrics(path)
    assert ([int(row["step"]) for row in rows], count) == (rows_left, num_damaged)
    MetricsLog(workdir, 2).close()
    with path.open(newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [step for step in rows_left if step <= 2]
    aside = [file.read_bytes() for file in (tmp_path / "damaged").glob("metrics_*.csv")]
    assert aside == ([damaged] if num_damaged else [])
    assert ("damaged lines of" in capsys.readouterr().err) == bool(num_damaged)


def test_values_of_one_step_are_one_row(tmp_path):
    workdir = Workdir(tmp_path, smoke.get_config())
    log = MetricsLog(workdir, 0)
    log.write(0, {"validation": 3.0})
    log.write(1, {"train": 2.0})
    log.close()
    log = MetricsLog(workdir, 1)
    log.write(1, {"validation": 2.5})
    log.write(1, {"train": 2.0, "validation": 2.5})
    log.write(2, {"train": 1.0})
    log.close()
    rows, num_damaged = read_metrics(tmp_path / "metrics.csv")
    values = [(row["step"], row["train"], row["validation"]) for row in rows]
    assert values == [("0", "", "3.0"), ("1", "2.0", "2.5"), ("2", "1.0", "")]
    assert num_damaged == 0
