"""The files of a run: a result that is not lost, whatever happens to checkpoints, pictures and small files."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import realnvp_jax
from configs import smoke, table
from realnvp_jax.plots import curves, vectors
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.metrics_log import MetricsLog, read_metrics
from realnvp_jax.runs.result import read_result
from realnvp_jax.runs.saved_config import saved_event_shape
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.training.steps import NonFiniteLossError
from tests.helpers import refusal

NAMES = ("cost_US$_per_$", "price ($)", "rate $%$")
RESULT = {"mean": 1.0, "standard_error": 0.1, "unit": "nats", "num_examples": 3, "step": 2, "num_steps": 4, "ema": True}


@pytest.fixture
def config(tmp_path):
    """A run of 4 steps on a table, evaluated at every second one; after them it overfits."""
    rows = np.random.default_rng(0).standard_normal((60, 3))
    path = tmp_path / "rows.csv"
    np.savetxt(path, rows, delimiter=",", header=",".join(NAMES), comments="")
    config = table.get_config()
    config.dataset.path = str(path)
    config.batch_size = 16
    config.num_steps = 4
    config.learning_rate = 0.05
    config.seed = 4
    config.schedule.name = "constant"
    config.schedule.warmup_steps = 0
    config.ema_decay = 0.0
    config.model.transform = "affine"
    config.model.num_layers, config.model.hidden = 2, (4,)
    config.evaluate.every = config.evaluate.log_every = config.checkpoint.every = 2
    config.evaluate.num_samples = 20
    return config


def validations(workdir: Path) -> dict[int, float]:
    with (workdir / "metrics.csv").open() as file:
        return {int(row["step"]): float(row["validation"]) for row in csv.DictReader(file)}


def steps(workdir: Path) -> list[int]:
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir())


def test_the_best_step_is_kept_when_a_run_goes_on_and_is_replaced_when_it_is_lost(config, tmp_path, capsys):
    workdir = tmp_path / "run"
    first = realnvp_jax.train(config, workdir)
    assert first["step"] == 4  # else the test tests nothing
    config.num_steps = 10
    second = realnvp_jax.train(config, workdir)
    assert (second["step"], second["mean"]) == (4, first["mean"])
    assert steps(workdir) == [4, 8, 10]
    assert "lost_best" not in second
    shutil.rmtree(workdir / "checkpoints" / "4")
    config.num_steps = 12
    capsys.readouterr()
    third = realnvp_jax.train(config, workdir)
    scores = validations(workdir)
    best = max((8, 10, 12), key=scores.__getitem__)
    assert third["step"] == best
    assert third["validation"] == pytest.approx(scores[best], rel=1e-5)
    assert third["lost_best"] == {"step": 4, "validation": pytest.approx(scores[4], rel=1e-5)}
    assert json.loads((workdir / "result.json").read_text()) == third
    printed = capsys.readouterr()
    assert "warning: the checkpoint of the best step 4 is lost" in printed.err
    assert f"step {best} of 12 by validation, the better step 4 is lost" in printed.out.splitlines()[-1]
    realnvp_jax.load(workdir)
    config.num_steps = 11
    assert "num_steps of at least 12" in refusal(realnvp_jax.train, config, workdir)


def test_a_picture_that_cannot_be_drawn_is_a_warning(config, tmp_path, monkeypatch, capsys):
    workdir = tmp_path / "run"

    def fail(*_):
        raise RuntimeError("no\npaint")

    def is_written_already(*_):
        assert read_result(workdir / "result.json")
        assert (workdir / "run.json").is_file()

    monkeypatch.setattr(vectors, "save_points", fail)
    monkeypatch.setattr(curves, "save_curves", is_written_already)
    workdir.mkdir()
    (workdir / "tensorboard").write_text("not a directory")
    config.num_steps = 2
    result = realnvp_jax.train(config, workdir)
    assert read_result(workdir / "result.json") == result
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1].startswith("test: ")
    assert "samples: " not in printed.out
    assert f"curves: {workdir / 'curves.png'}" in printed.out
    warnings = printed.err.splitlines()
    assert f"warning: {workdir / 'samples.png'} was not written (RuntimeError: no paint)" in warnings
    assert sum(line.startswith(f"warning: {workdir / 'tensorboard'} was not written (") for line in warnings) == 1
    # a result cut in half is computed again
    whole = (workdir / "result.json").read_text()
    (workdir / "result.json").write_text(whole[: len(whole) // 2])
    realnvp_jax.train(config, workdir)
    assert (workdir / "result.json").read_text() == whole
    assert "result.json is damaged: the run is evaluated again" in capsys.readouterr().err


def test_parameters_that_are_not_finite_are_not_saved(config, tmp_path):
    config.learning_rate = float("nan")
    config.checkpoint.every = config.evaluate.log_every = 1
    with pytest.raises(NonFiniteLossError, match="not finite after step 1; there is no checkpoint yet"):
        realnvp_jax.train(config, tmp_path / "run")


def test_a_path_that_checkpoints_cannot_be_read_from_is_refused(config, tmp_path):
    assert "choose another" in refusal(realnvp_jax.train, config, tmp_path / "lr=[1e-3]")
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.csv"]


def test_names_of_columns_are_drawn_as_they_are(tmp_path):
    x = np.random.default_rng(0).standard_normal((30, 3))
    vectors.save_points(x, x, NAMES, tmp_path / "points.png")
    assert (tmp_path / "points.png").stat().st_size > 5000


def test_a_damaged_result_is_named(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, RESULT)
    assert read_result(path) == RESULT
    for text in ("", '{"mean": 1', "{}", "[]", json.dumps({**RESULT, "mean": None})):
        path.write_text(text)
        message = refusal(read_result, path)
        assert "result.json" in message
        assert message.endswith("start the run again, which evaluates again")
        assert Workdir(tmp_path, smoke.get_config()).result() is None


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, RESULT)
    with pytest.raises(TypeError):
        write_json(path, {"mean": object()})
    assert read_result(path) == RESULT


def test_a_damaged_or_missing_config_is_named(tmp_path):
    Workdir(tmp_path, smoke.get_config()).start()
    (tmp_path / "config.json").write_text("")
    for opened in (lambda: Workdir(tmp_path, smoke.get_config()), lambda: saved_event_shape(tmp_path)):
        assert "config.json' as it was written; got a damaged file" in refusal(opened)
    assert "config.json" in refusal(realnvp_jax.load, tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    assert "expected config.json beside the checkpoints" in refusal(Workdir, tmp_path, smoke.get_config())


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
