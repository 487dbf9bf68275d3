"""Runs of several processes; `tests.fuzz.processes` tries many more moments."""

import csv
import json
import os
import re
import shutil
import signal

import pytest

from realnvp_jax.runs.cluster import connect
from tests.fuzz.processes import TOY, Trial, run_processes
from tests.helpers import refusal

SMALL = [*TOY, "--config.num_steps=20", "--config.checkpoint.every=10", "--config.evaluate.every=10"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "True",
    }


def trained(arguments, workdir, count, environment, devices=2):
    ended = run_processes(["train.py", *arguments, f"--workdir={workdir}"], count, environment, devices=devices)
    assert [one.code for one in ended] == [0] * count, [one.error for one in ended]
    return ended


def numbers(workdir) -> list[float]:
    """The training losses and validation results of a run, and its test result."""
    with (workdir / "metrics.csv").open() as file:
        rows = [float(row[name]) for row in csv.DictReader(file) for name in ("train", "validation") if row[name]]
    return [*rows, json.loads((workdir / "result.json").read_text())["mean"]]


def test_two_processes_train_as_one_does(environment, tmp_path):
    first, second = trained(SMALL, tmp_path / "two", 2, environment)
    trained(SMALL, tmp_path / "one", 1, environment, devices=4)
    assert numbers(tmp_path / "two") == pytest.approx(numbers(tmp_path / "one"), abs=1e-6)
    assert re.search(r"devices: 4 x cpu.*test: ", first.out, re.DOTALL)
    assert "devices:" not in second.out  # only the main process prints
    assert json.loads((tmp_path / "two" / "result.json").read_text())["num_examples"] == 200


@pytest.mark.parametrize(
    "config", [pytest.param("smoke", marks=pytest.mark.slow), pytest.param("act_norm", marks=pytest.mark.matrix)]
)
def test_a_run_goes_on_with_other_numbers_of_processes_and_devices(environment, tmp_path, config):
    choices = ["--config.model.normalization=act_norm"] if config == "act_norm" else []
    of_run = ["--config=configs/smoke.py", *choices, "--config.checkpoint.every=10", "--config.evaluate.every=10"]
    trained([*of_run, "--config.num_steps=30"], tmp_path / "whole", 1, environment, devices=1)
    for steps, count, devices in ((10, 2, 4), (20, 1, 1), (30, 4, 1)):
        trained([*of_run, f"--config.num_steps={steps}"], tmp_path / "parts", count, environment, devices=devices)
    assert numbers(tmp_path / "parts") == pytest.approx(numbers(tmp_path / "whole"), abs=3e-6)


@pytest.mark.slow
def test_what_differs_between_processes_or_fails_in_one_stops_both(environment, tmp_path):
    for last, message in (
        ("--config.dataset.name=nothing", "(process 1: )?expected .* got 'nothing'"),
        ("--config.nothing=1", "(process 1: )?expected .*nothing"),
        ("--config.seed=7", "expected the same seed in every process; got '0' in process 0 and '7' in process 1"),
    ):
        workdir = f"--workdir={tmp_path / 'bad'}"
        ended = run_processes(["train.py", *SMALL, workdir], 2, environment, last=(last,))
        assert [one.code for one in ended] == [1, 1]
        for one in ended:
            assert re.search(message, one.error)
    assert not (tmp_path / "bad").exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(bytes(content))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.slow
def test_two_processes_set_a_damaged_checkpoint_aside_together(environment, tmp_path):
    trained(SMALL, tmp_path / "whole", 2, environment)
    for damage in (flip, truncate, os.remove):
        workdir = tmp_path / damage.__name__
        shutil.copytree(tmp_path / "whole", workdir)
        (workdir / "result.json").unlink()
        damage(max((workdir / "checkpoints" / "20" / "params").rglob("d/*"), key=lambda path: path.stat().st_size))
        ended = trained(SMALL, workdir, 2, environment)
        assert "checkpoint 20 cannot be used" in ended[0].error
        assert numbers(workdir) == numbers(tmp_path / "whole")
        assert list((workdir / "damaged").glob("20_*"))


@pytest.mark.parametrize(
    ("number", "victim", "share"),
    [
        pytest.param(signal.SIGTERM, 1, 0.2, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 0, 0.6, marks=pytest.mark.matrix),
        pytest.param(signal.SIGKILL, 1, 0.6, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_one_process_reaches_both(trial, number, victim, share):
    _, faults = trial.disturbed(f"run_{number}", number, victim, share * trial.seconds)
    assert not faults


SHARDED = """
import functools
import jax, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from realnvp_jax.runs.cluster import connect
connect()
import realnvp_jax
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.parallel import replicate, shard
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

optimizer, key = clipped(Adam(), 1e-2), np.asarray(jax.random.key_data(jax.random.key(1)))
images = np.random.default_rng(0).integers(0, 17, (3, 8, 4, 4, 1)).astype(np.uint8)
mine = np.split(images, jax.process_count(), axis=1)[jax.process_index()]
mesh = Mesh(np.array(jax.devices()), ("devices",))

def everywhere(leaf):
    return jax.make_array_from_process_local_data(NamedSharding(mesh, P()), np.asarray(leaf))

for normalization in ("batch_norm", "act_norm"):
    flow = realnvp_jax.image_flow(
        (4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=17, normalization=normalization
    )
    options = dict(flow=flow, optimizer=optimizer, flip=True, ema_decay=0.9, axis_name="devices")
    step = lambda state, batch, key: train_step(state, batch, jax.random.wrap_key_data(key), **options)
    by_pmap = jax.pmap(step, "devices", in_axes=(None, 0, None), out_axes=None)
    specs = {"in_specs": (P(), P("devices"), P()), "out_specs": P(), "check_vma": False}
    by_shard_map = jax.jit(jax.shard_map(step, mesh=mesh, **specs))
    start = jax.jit(create_state, static_argnums=(0, 2, 3))(flow, jax.random.key(0), optimizer, 0.9, images[0])
    one, other, shared_key = replicate(start), jax.tree.map(everywhere, start), everywhere(key)
    for x in mine:
        one, _ = by_pmap(one, shard({"x": x}), key)
        share = jax.make_array_from_process_local_data(NamedSharding(mesh, P("devices")), x)
        other, _ = by_shard_map(other, {"x": share}, shared_key)
    pairs = jax.tree.map(lambda a, b: np.abs(np.asarray(a) - np.asarray(b)).max(), one, other)
    assert max(jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), start.params, one.params))) > 1e-3
    print("difference", float(max(jax.tree.leaves(pairs))), len(jax.devices()))
"""


@pytest.mark.slow
def test_the_step_of_two_processes_under_pmap_and_under_shard_map_is_the_same_to_the_bit(environment):
    for ended in run_processes(["-c", SHARDED], 2, environment):
        assert re.findall("difference (.*)", ended.out) == ["0.0 4", "0.0 4"], ended.error


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return Trial(tmp_path_factory.mktemp("trial"), TOY)


def test_options_that_do_not_fit_together_are_refused():
    assert "--coordinator, --num_processes and --process_id together; got no --process_id" in refusal(
        connect, "localhost:1234", 2
    )
    assert "from 0 to 1" in refusal(connect, "localhost:1234", 2, 2)
    assert "HOST:PORT" in refusal(connect, "localhost", 2, 1)
