"""Runs are loaded, or refused."""

import json

import chex
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from configs import smoke
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.workdir import Workdir
from tests.helpers import refusal


def test_runs_of_older_versions_are_refused_and_left_alone(tmp_path):
    config = json.loads(smoke.get_config().to_json())
    del config["model"]["mixing"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    before = path.read_text()
    for function in (lambda: realnvp_jax.load(tmp_path), lambda: realnvp_jax.train(smoke.get_config(), tmp_path)):
        assert "version 0.3 or later" in refusal(function)
    assert path.read_text() == before


def test_load_in_double_precision_gives_the_same_numbers(saved, x64):
    path, checkpoints, states = saved
    checkpoints.wait()
    _, params = realnvp_jax.load(path, step=np.int64(2), ema=False)
    chex.assert_trees_all_equal(params, states[2].params)


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected the workdir of a run, with config\.json"):
        realnvp_jax.load(tmp_path)
    Workdir(tmp_path, smoke.get_config()).start()
    with pytest.raises(ValueError, match="got none yet"):
        realnvp_jax.load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["levels"] == 17


def test_an_average_that_a_run_does_not_have_is_refused(saved):
    path, checkpoints, states = saved
    checkpoints.save(states[3].replace(step=jnp.asarray(4, jnp.int32), ema={}), Best(1, 2.0))
    checkpoints.wait()
    _, params = realnvp_jax.load(path, step=4)
    chex.assert_trees_all_equal(params, states[3].params)
    with pytest.raises(ValueError, match=r"expected a run with ema_decay > 0 or an optimizer that .* has no average"):
        realnvp_jax.load(path, step=4, ema=True)
    _, average = realnvp_jax.load(path, step=3)
    chex.assert_trees_all_equal(average, states[3].ema)
