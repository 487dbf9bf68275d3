"""The config that a run has saved."""

import json

import realnvp_jax
from configs import smoke
from realnvp_jax.runs.saved_config import flatten, read_config, saved_event_shape
from realnvp_jax.runs.workdir import Workdir
from tests.helpers import refusal


def test_a_damaged_or_missing_config_is_named(tmp_path):
    Workdir(tmp_path, smoke.get_config()).start()
    (tmp_path / "config.json").write_text("")
    for opened in (lambda: Workdir(tmp_path, smoke.get_config()), lambda: saved_event_shape(tmp_path)):
        assert "config.json' as it was written; got a damaged file" in refusal(opened)
    assert "config.json" in refusal(realnvp_jax.load, tmp_path)
    (tmp_path / "config.json").unlink()
    (tmp_path / "checkpoints" / "3").mkdir(parents=True)
    assert "expected config.json beside the checkpoints" in refusal(Workdir, tmp_path, smoke.get_config())


def test_a_run_of_version_0_3_has_the_defaults_of_later_keys(tmp_path):
    config = smoke.get_config()
    before = json.loads(config.to_json())
    del before["tracker"], before["dataset"]["columns"], before["dataset"]["categories"], before["dataset"]["discrete"]
    (tmp_path / "config.json").write_text(json.dumps(before))
    assert flatten(read_config(tmp_path)) == flatten(config)
    Workdir(tmp_path, config)
