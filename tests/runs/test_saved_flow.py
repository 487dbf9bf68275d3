"""Flows that no config made are saved and loaded."""

import hashlib
import json
import os

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import realnvp_jax
from realnvp_jax import registry
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.mode import EVALUATE
from realnvp_jax.runs.saved_flow import save
from tests.helpers import perturb, refusal, small

KEY = jax.random.key(0)
SPLINE = realnvp_jax.Spline(num_bins=3, tail_bound=2.5)


def chain() -> realnvp_jax.Flow:
    layers = (realnvp_jax.LearnedLinear(), Stack(realnvp_jax.InvertibleConv(), 2), realnvp_jax.LearnedLinear())
    return realnvp_jax.Flow((3,), realnvp_jax.Chain(layers), realnvp_jax.Logistic())


FLOWS = {
    "image_flow": lambda: small("image_flow", normalization="batch_norm", masks="halves", dtype="bfloat16"),
    "image_flow, splines as objects": lambda: small("image_flow", transform=SPLINE, context=2, normalization="none"),
    "glow_flow": lambda: small("glow_flow", conditioner=realnvp_jax.ResNet(base_features=2, num_blocks=1)),
    "glow_flow, mixtures": lambda: small(
        "glow_flow",
        conditioner="gated_dense",
        transform="mixture_affine",
        dequantizer="variational",
        noise_features=2,
    ),
    "glow_flow, attention": lambda: small(
        "glow_flow", conditioner="vit", vit_features=4, dropout=0.1, mixing="permutation", masks="both", num_steps=2
    ),
    "vector_flow, context": lambda: small(
        "vector_flow", context=2, masks="random", seed=3, mixing="lu", transform=SPLINE, base="uniform"
    ),
    "vector_flow, odd": lambda: small("vector_flow", num_layers=3),  # parameters of shape ()
    "autoregressive_flow": lambda: small("autoregressive_flow", order=(2, 0, 1), conditioner="separate"),
    "pixelcnn_flow": lambda: small("pixelcnn_flow", levels=4),
    "masked_autoregressive_flow": lambda: small("masked_autoregressive_flow", inverse=True, order="random"),
    "a chain": chain,
}


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_is_loaded_as_it_was_saved(name, tmp_path):
    flow = FLOWS[name]()
    params = perturb(flow.init(KEY), KEY)
    save(tmp_path / "flow", flow, params)
    assert sorted(os.listdir(tmp_path)) == ["flow"]
    loaded, again = realnvp_jax.load(tmp_path / "flow")
    assert loaded == flow
    assert hash(loaded) == hash(flow)
    assert repr(loaded) == repr(flow)
    chex.assert_trees_all_equal_structs(again, params)
    chex.assert_trees_all_equal_dtypes(again, params)
    chex.assert_trees_all_equal(again, params)
    x = np.random.default_rng(0).uniform(0.2, 0.8, (2, *flow.event_shape)).astype(np.float32)
    context = np.ones((2, flow.context_size), np.float32) if flow.context_size else None
    np.testing.assert_array_equal(loaded.log_prob(again, x, context), flow.log_prob(params, x, context))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_parameters_keep_their_dtype(dtype, tmp_path):
    flow = small("vector_flow")
    params = jax.tree.map(lambda leaf: (np.asarray(leaf) + 0.1).astype(jnp.dtype(dtype)), flow.init(KEY))
    save(tmp_path / "flow", flow, params)
    _, again = realnvp_jax.load(tmp_path / "flow")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(again)} == {dtype}
    chex.assert_trees_all_equal(again, params)
    with jax.enable_x64(True):
        _, again = realnvp_jax.load(tmp_path / "flow")
    assert all(isinstance(leaf, jax.Array) and str(leaf.dtype) == dtype for leaf in jax.tree.leaves(again))


class Shift(realnvp_jax.Bijection):
    """A user's own part, with fields of several types."""

    by: float = 1.5
    dtype: object = jnp.bfloat16
    storage: object = np.dtype("float16")
    limits: tuple = (float("inf"), None, True, "text", np.int64(3), (0.1,))
    inner: nn.Module = nn.Dense(3)  # a default that is not a part

    def forward(self, x, context=None, mode=EVALUATE):
        return x + self.by, jnp.zeros(x.shape[:1])

    def inverse(self, z, context=None):
        return z - self.by, jnp.zeros(z.shape[:1])


@pytest.fixture
def shift(monkeypatch):
    monkeypatch.setitem(registry._parts, "mixing", dict(registry._parts["mixing"]))
    realnvp_jax.register("mixing", "shift", Shift)


def test_a_registered_part_is_loaded_by_its_name(shift, tmp_path, monkeypatch):
    flow = realnvp_jax.Flow((3,), realnvp_jax.Chain((Shift(2.5), realnvp_jax.LearnedLinear())))
    save(tmp_path / "flow", flow, flow.init(KEY))
    loaded, _ = realnvp_jax.load(tmp_path / "flow")
    assert loaded == flow
    limits = loaded.bijection.layers[0].limits
    assert [type(entry) for entry in limits] == [float, type(None), bool, str, int, tuple]
    assert loaded.bijection.layers[0].dtype is jnp.bfloat16
    registry._parts["mixing"].pop("shift")
    message = refusal(realnvp_jax.load, tmp_path / "flow")
    assert "expected the mixing 'shift' of flow.bijection.layers[0] to be registered" in message


def test_what_is_not_data_is_refused(shift, tmp_path):
    for bijection, named in (
        (Shift(by=lambda x: x), "flow.bijection.by; got '<lambda>', a function"),
        (Shift(inner=nn.Dense(4)), "flow.bijection.inner; got an object of 'Dense'"),
        (Shift(by=jnp), "flow.bijection.by; got an object of 'module'"),
    ):
        flow = realnvp_jax.Flow((3,), bijection)
        message = refusal(save, tmp_path / "flow", flow, {})
        assert named in message
        assert "register" in message
    registry._parts["mixing"].pop("shift")
    flow = realnvp_jax.Flow((3,), Shift())
    assert "flow.bijection; got an object of 'Shift': register" in refusal(save, tmp_path / "flow", flow, {})
    with pytest.raises(TypeError, match=r"expected a realnvp_jax\.Flow; got Shift"):
        save(tmp_path / "flow", Shift(), {})
    shared = realnvp_jax.LearnedLinear()
    flow = realnvp_jax.Flow((3,), realnvp_jax.Chain((shared, shared)))
    assert "a separate module in every place" in refusal(save, tmp_path / "flow", flow, flow.init(KEY))
    assert os.listdir(tmp_path) == []


def test_parameters_of_another_flow_are_refused(tmp_path):
    flow, other = small("vector_flow"), small("vector_flow", hidden=(5,))
    refused = refusal(save, tmp_path / "flow", flow, other.init(KEY))
    assert "as in this flow; got (1, 5)" in refused
    params = flow.init(KEY)
    assert "got another, 'batch_stats/more'" in refusal(
        save, tmp_path / "flow", flow, {**params, "batch_stats": {"more": np.zeros(1)}}
    )
    assert "got none called 'params/bijection/" in refusal(save, tmp_path / "flow", flow, {})
    integers = jax.tree.map(lambda leaf: np.asarray(leaf, np.int32), params)
    assert "got int32 in 'params/" in refusal(save, tmp_path / "flow", flow, integers)
    assert os.listdir(tmp_path) == []


def test_nothing_is_overwritten_by_accident(tmp_path):
    flow = chain()
    params, path = flow.init(KEY), tmp_path / "a" / "flow"
    save(path, flow, params)
    assert "which exists: choose another, or overwrite it with overwrite=True" in refusal(save, path, flow, params)
    moved = perturb(params, KEY)
    save(path, flow, moved, overwrite=True)
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], moved)
    assert os.listdir(path.parent) == ["flow"]
    (path / "notes.txt").write_text("mine")
    assert "and nothing else, to overwrite" in refusal(save, path, flow, params, overwrite=True)
    assert "and nothing else, to overwrite" in refusal(save, path.parent, flow, params, overwrite=True)
    assert (path / "notes.txt").read_text() == "mine"
    assert "which exists" in refusal(save, path / "notes.txt", flow, params)
    (path / "notes.txt").unlink()
    (tmp_path / "link").symlink_to(path)
    assert "a symbolic link: name its target" in refusal(save, tmp_path / "link", flow, params, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["a", "link"]


def test_files_of_other_names_are_not_those_of_a_saved_flow(tmp_path):
    flow, path = chain(), tmp_path / "flow"
    params = flow.init(KEY)
    save(path, flow, params)
    (path / "model.safetensors").rename(path / "model_ema_export.safetensors")
    assert "and nothing else, to overwrite" in refusal(save, path, flow, params, overwrite=True)
    (path / "model_ema_export.safetensors").rename(path / "model.safetensors")
    (path / "config.json").write_text('{"seed": 0}')  # as of a run
    assert "and nothing else, to overwrite" in refusal(save, path, flow, params, overwrite=True)
    assert sorted(os.listdir(path)) == ["config.json", "model.safetensors"]


def test_a_failed_save_leaves_the_old_flow(tmp_path, monkeypatch):
    flow, path = chain(), tmp_path / "flow"
    params = flow.init(KEY)
    save(path, flow, params)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("realnvp_jax.runs.saved_flow.write_json", fail)
    with pytest.raises(OSError, match="no space left"):
        save(path, flow, perturb(params, KEY), overwrite=True)
    assert os.listdir(tmp_path) == ["flow"]
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], params)


def test_step_and_ema_are_of_runs_alone(tmp_path):
    flow = chain()
    save(tmp_path / "flow", flow, flow.init(KEY))
    for options in ({"step": 1}, {"ema": False}, {"step": "best"}):
        assert "expected no step and no ema" in refusal(realnvp_jax.load, tmp_path / "flow", **options)


def test_many_parameters_are_spread_over_several_files(tmp_path):
    flow, path = chain(), tmp_path / "flow"
    params = perturb(flow.init(KEY), KEY)
    save(path, flow, params, max_file_size=60)
    names = sorted(os.listdir(path))
    assert names[:2] == ["config.json", f"model-00001-of-{len(names) - 1:05d}.safetensors"]
    assert len(names) > 3
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], params)
    last = path / names[-1]
    content = last.read_bytes()
    last.unlink()
    assert f"expected {names[-1]} in" in refusal(realnvp_jax.load, path)
    last.write_bytes(content[:-1] + b"?")
    assert f"{names[-1]}' as it was saved; got other bytes" in refusal(realnvp_jax.load, path)
    save(path, flow, params, overwrite=True)
    assert sorted(os.listdir(path)) == ["config.json", "model.safetensors"]
    for size, expected in ((0, "of at least 1"), (1.5, "to be an integer"), (True, "to be an integer"), ("a", "to be")):
        assert f"expected max_file_size {expected}" in refusal(
            save, path, flow, params, overwrite=True, max_file_size=size
        )


def test_damage_is_found_and_named(tmp_path):
    flow, path = chain(), tmp_path / "flow"
    params = flow.init(KEY)
    save(path, flow, params)
    config, model = path / "config.json", path / "model.safetensors"
    text, content = config.read_text(), model.read_bytes()

    def with_config(change) -> str:
        changed = json.loads(text)
        change(changed)
        config.write_text(json.dumps(changed))
        message = refusal(realnvp_jax.load, path)
        config.write_text(text)
        return message

    def with_flow(change) -> str:
        def both(changed):
            change(changed["flow"])
            described = json.dumps(changed["flow"], sort_keys=True)
            changed["sha256"]["flow"] = hashlib.sha256(described.encode()).hexdigest()

        return with_config(both)

    for damaged in ("", text[:50], "[]", "[" * 100_000):
        config.write_text(damaged)
        assert "config.json' as it was written; got a damaged file" in refusal(realnvp_jax.load, path)
    config.write_text(text)
    assert "expected format 1" in with_config(lambda c: c.update(format=2, version="9.0"))
    assert "as it was saved; got a changed one" in with_config(lambda c: c["flow"]["fields"].update(levels=256))
    assert "as it was saved; got a changed one" in with_config(lambda c: c.pop("sha256"))
    assert "expected a class of this version" in with_flow(lambda f: f.update({"class": "os.system"}))
    assert "fields of Flow" in with_flow(lambda f: f["fields"].update(shape=[3]))
    assert "expected the kind and the name of a part in flow.base" in with_flow(
        lambda f: f["fields"]["base"].update(part=["optimizer", "adam"])
    )
    assert "to be registered; got no such part: did you mean" in with_flow(
        lambda f: f["fields"]["base"].update(part=["base", "logistik"])
    )
    assert "expected a class and its fields in flow.levels" in with_flow(lambda f: f["fields"].update(levels={"a": 1}))
    assert "dtype in flow.levels; got 'os'" in with_flow(
        lambda f: f["fields"].update(levels={"dtype": "os", "of": "jax"})
    )
    assert "expected a description of a flow" in with_config(
        lambda c: c.update(flow=3, sha256={"flow": hashlib.sha256(b"3").hexdigest()})
    )
    for place in (0, 9, len(content) - 1):
        model.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert "model.safetensors' as it was saved; got other bytes" in refusal(realnvp_jax.load, path)

    def with_model(changed: bytes) -> str:
        model.write_bytes(changed)
        return with_config(lambda c: c["sha256"].update({"model.safetensors": hashlib.sha256(changed).hexdigest()}))

    tensors = safetensors.numpy.load(content)
    name = sorted(tensors)[0]
    assert "got none called" in with_model(safetensors.numpy.save({n: t for n, t in tensors.items() if n != name}))
    assert "got another, 'params/x'" in with_model(safetensors.numpy.save({**tensors, "params/x": np.ones(2)}))
    assert "as in this flow; got (7,)" in with_model(safetensors.numpy.save({**tensors, name: np.ones(7)}))
    assert "got KeyError: 'I64'" in with_model(safetensors.numpy.save({**tensors, name: np.ones(7, int)}))
    assert "got SafetensorError" in with_model(b"not tensors")
    model.unlink()
    assert "expected model.safetensors in" in refusal(realnvp_jax.load, path)
    (path / "config.json").write_text('{"architectures": ["Other"]}')
    (path / "model.safetensors").write_bytes(b"")
    assert "as save or publish write it; got something else" in refusal(realnvp_jax.load, path)
    model.write_bytes(content)
    config.unlink()
    assert "expected config.json in" in refusal(realnvp_jax.load, path)
