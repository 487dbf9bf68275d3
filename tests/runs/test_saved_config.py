"""The config that a run has saved."""

import json

import jax

import realnvp_jax
from configs import smoke
from realnvp_jax import registry
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


def test_a_saved_flow_is_not_a_workdir(tmp_path):
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(4,))
    realnvp_jax.save(tmp_path / "flow", flow, flow.init(jax.random.key(0)))
    message = refusal(read_config, tmp_path / "flow")
    assert message.startswith("expected the workdir of a run; got")
    assert "a flow that save or publish wrote: use realnvp_jax.load, or another --workdir" in message


def test_tuples_within_tuples_are_lists_as_in_json():
    config = smoke.get_config()
    with config.unlocked():
        config.model.stages = ((1, 2), (3,))
    assert flatten(config)["model.stages"] == [[1, 2], [3]]


def test_a_run_of_version_0_3_has_the_defaults_of_later_keys(tmp_path):
    config = smoke.get_config()
    before = json.loads(config.to_json())
    del before["tracker"], before["dataset"]["columns"], before["dataset"]["categories"], before["dataset"]["discrete"]
    (tmp_path / "config.json").write_text(json.dumps(before))
    assert flatten(read_config(tmp_path)) == flatten(config)
    Workdir(tmp_path, config)


def test_a_run_of_before_a_part_was_registered_is_read_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})
    Workdir(tmp_path, smoke.get_config()).start()

    @realnvp_jax.register("conditioner", "registered_later")
    class Later(realnvp_jax.Conditioner):
        later_size: int = realnvp_jax.parameter(4, "a size")

    assert "later_size" not in read_config(tmp_path).model
