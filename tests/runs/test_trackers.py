"""Trackers of metrics: TensorBoard, those of other packages, and functions."""

import json
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from PIL import Image
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter  # noqa: F401

import realnvp_jax
from realnvp_jax.configs import smoke
from realnvp_jax.runs.trackers import Tracker, Trackers, find_tracker
from tests.helpers import refusal


def events(folder):
    """The summaries in TensorBoard files, by a reader of the format: length, checksum, bytes, checksum."""
    for path in sorted(folder.rglob("events.*")):
        data, start = path.read_bytes(), 0
        while start < len(data):
            length = int.from_bytes(data[start : start + 8], "little")
            event = event_pb2.Event.FromString(data[start + 12 : start + 12 + length])
            yield from ((event.step, value) for value in event.summary.value)
            start += 12 + length + 4


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((3, 5), 200, np.uint8)).save(path)
    return path


def report(trackers, picture):
    trackers.metrics(2, {"train": 1.5, "validation": float("nan")})
    trackers.image(2, "samples", picture)
    trackers.result({"mean": 2.5, "standard_error": 0.1, "step": 2})
    trackers.close()


def test_tensorboard_has_scalars_pictures_and_hyperparameters(tmp_path, picture):
    report(Trackers(tmp_path, smoke.get_config(), 0, None), picture)
    found = {value.tag: (step, value) for step, value in events(tmp_path / "tensorboard")}
    assert found["train"][0] == 2
    assert found["train"][1].simple_value == 1.5
    assert "validation" not in found
    assert (found["samples"][1].image.height, found["samples"][1].image.width) == (3, 5)
    assert found["test/mean"][1].simple_value == 2.5
    assert b"learning_rate" in found["_hparams_/session_start_info"][1].metadata.plugin_data.content
    assert b"model.num_scales" in b"".join(found["config/text_summary"][1].tensor.string_val)


def test_a_tracker_that_fails_is_left_out(tmp_path, picture, capsys):
    calls = []

    def fail(step, metrics):
        calls.append((step, metrics))
        raise RuntimeError("no network")

    trackers = Trackers(tmp_path, smoke.get_config(), 0, find_tracker(smoke.get_config(), fail))
    trackers.metrics(1, {"train": 3.0})
    report(trackers, picture)
    assert calls == [(1, {"train": 3.0})]
    assert capsys.readouterr().err == "warning: tracker function was not written (RuntimeError: no network)\n"
    assert any(value.tag == "train" and step == 2 for step, value in events(tmp_path / "tensorboard"))


def fake_wandb(monkeypatch, calls):
    module = types.ModuleType("wandb")
    module.__spec__ = types.SimpleNamespace(name="wandb")
    module.run = types.SimpleNamespace(id="abc", summary={})

    def init(**options):
        calls.append(("init", options["id"], options["config"]["seed"]))
        return module.run

    module.init = init
    module.log = lambda values, step: calls.append(("log", step, values))
    module.Image = lambda path: "picture"
    module.finish = lambda: calls.append(("finish",))
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_finds_its_run_again_after_a_restart(tmp_path, picture, monkeypatch):
    calls = []
    module = fake_wandb(monkeypatch, calls)
    config = smoke.get_config()
    config.tracker = "wandb"
    report(Trackers(tmp_path, config, 0, find_tracker(config)), picture)
    assert calls == [
        ("init", None, 0),
        ("log", 2, {"train": 1.5}),
        ("log", 2, {"samples": "picture"}),
        ("finish",),
    ]
    assert module.run.summary["test_mean"] == 2.5
    assert json.loads((tmp_path / "tracker.json").read_text()) == {"Wandb": "abc"}
    Trackers(tmp_path, config, 2, find_tracker(config)).close()
    assert calls[4] == ("init", "abc", 0)


def test_mlflow_gets_parameters_once(tmp_path, picture, monkeypatch):
    calls = []
    module = types.ModuleType("mlflow")
    module.__spec__ = types.SimpleNamespace(name="mlflow")
    for name in ("log_params", "log_metrics", "log_artifact", "log_dict", "end_run"):
        setattr(module, name, lambda *arguments, _name=name, **options: calls.append(_name))

    def start_run(run_id, run_name):
        calls.append(("start", run_id))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r1"))

    module.start_run = start_run
    monkeypatch.setitem(sys.modules, "mlflow", module)
    config = smoke.get_config()
    config.tracker = "mlflow"
    report(Trackers(tmp_path, config, 0, find_tracker(config)), picture)
    Trackers(tmp_path, config, 2, find_tracker(config)).close()
    assert calls == [
        ("start", None),
        "log_params",
        "log_metrics",
        "log_artifact",
        "log_metrics",
        "log_dict",
        "end_run",
        ("start", "r1"),
        "end_run",
    ]


@pytest.mark.filterwarnings("default")
def test_mlflow_itself_has_both_parts_of_a_resumed_run(tmp_path, picture, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # for the artifacts
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    config = smoke.get_config()
    config.tracker = "mlflow"
    first = Trackers(tmp_path, config, 0, find_tracker(config))
    first.metrics(1, {"train": 3.0})
    first.close()
    report(Trackers(tmp_path, config, 1, find_tracker(config)), picture)
    client = mlflow.MlflowClient()
    (run,) = client.search_runs(["0"])
    steps = {
        name: [m.step for m in client.get_metric_history(run.info.run_id, name)] for name in ("train", "test_mean")
    }
    assert steps == {"train": [1, 2], "test_mean": [2]}
    assert run.data.params["seed"] == "0"
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"samples", "result.json"}


@pytest.mark.filterwarnings("default")
def test_wandb_itself_keeps_the_id_of_a_resumed_run(tmp_path, picture, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    config = smoke.get_config()
    config.tracker = "wandb"
    first = Trackers(tmp_path, config, 0, find_tracker(config))
    first.metrics(1, {"train": 3.0})
    first.close()
    run_id = json.loads((tmp_path / "tracker.json").read_text())["Wandb"]
    time.sleep(1.1)  # the folder of an offline run is named by the second of its start
    report(Trackers(tmp_path, config, 1, find_tracker(config)), picture)
    files = list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert {file.stem for file in files} == {f"run-{run_id}"}
    assert any(b"test_standard_error" in file.read_bytes() for file in files)
    assert len(list(tmp_path.glob("wandb/offline-run-*/files/media/images/samples_*.png"))) == 1


def test_nothing_is_imported_for_a_tracker_that_is_not_chosen():
    code = "import sys, realnvp_jax.runs.trainer; print({'wandb', 'mlflow', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_tracker_of_ones_own_by_name(tmp_path):
    seen = []

    @realnvp_jax.register("tracker", "tracker_of_a_test")
    class Mine(Tracker):
        def start(self, workdir, config, step, run_id):
            seen.append((config["tracker"], step, run_id))

        def metrics(self, step, values):
            seen.append((step, values))

    config = smoke.get_config()
    config.tracker = "tracker_of_a_test"
    trackers = Trackers(tmp_path, config, 5, find_tracker(config))
    trackers.metrics(6, {"train": 1.0})
    trackers.close()
    assert seen == [("tracker_of_a_test", 5, None), (6, {"train": 1.0})]


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    config = smoke.get_config()
    config.tracker = "wandb"
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "expected the package wandb for tracker='wandb'; got none: pip install wandb" in refusal(
        find_tracker, config
    )
    config.tracker = "wandbb"
    assert "expected tracker to be one of the registered" in refusal(find_tracker, config)


def test_a_tracker_that_fails_is_closed(tmp_path):
    seen = []

    class Failing(Tracker):
        def start(self, workdir, config, step, run_id):
            raise RuntimeError("half of it is started")

        def metrics(self, step, values):
            seen.append("metrics")

        def close(self):
            seen.append("closed")

    trackers = Trackers(tmp_path, smoke.get_config(), 0, Failing())
    trackers.metrics(1, {"train": 1.0})
    trackers.close()
    assert seen == ["closed"]
