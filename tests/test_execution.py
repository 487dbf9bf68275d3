"""How training passes are carried out: the memory modes, precision, loops, several updates in a dispatch."""

import functools
import importlib.util
import json
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

import realnvp_jax
from configs import smoke
from realnvp_jax import compilation_cache
from realnvp_jax.networks.convolution import convolve, convolve_for_training
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.config_checks import check_config
from realnvp_jax.runs.profiling import Profile
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.optimizer import Adam, clipped, global_norm
from realnvp_jax.training.parallel import dispatches
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step, train_steps
from tests.helpers import perturb, refusal

ROOT = Path(__file__).parent.parent
SMALL = {"event_shape": (2, 2, 1), "num_scales": 1, "base_features": 2, "num_blocks": 2, "levels": 4}
VARIANTS = {
    "two scales, lag": {"num_scales": 2, "batch_norm_lag": 0.5},
    "act norm, additive, halves, context": {
        "normalization": "act_norm",
        "transform": "additive",
        "masks": "halves",
        "context": 2,
    },
}


def problem(**choices):
    """(flow, perturbed parameters, x, context) of a small flow, in the current precision."""
    flow = realnvp_jax.image_flow(**{**SMALL, **choices})
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.2)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.uniform(0.5, 3.5, (6, 2, 2, 1)), jnp.result_type(float))
    context = jnp.asarray(random.standard_normal((6, 2)), x.dtype) if flow.context_size else None
    return flow, params, x, context


@functools.partial(jax.jit, static_argnums=0)
def gradients(flow, params, x, context):
    """(mean log_prob, updated variables, gradients in the parameters, x and the context) in training mode."""

    def loss(trainable, x, context):
        log_prob, updated = flow.log_prob_train({**params, "params": trainable}, x, context)
        return log_prob.mean(), updated

    arguments = (0, 1) if context is None else (0, 1, 2)
    (value, updated), gradient = jax.value_and_grad(loss, arguments, has_aux=True)(params["params"], x, context)
    return value, updated, gradient


def relative_error(tree, expected) -> float:
    return float(global_norm(jax.tree.map(jnp.subtract, tree, expected)) / global_norm(expected))


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_all_modes_have_the_same_gradients(name, x64):
    flow, params, x, context = problem(**VARIANTS[name])
    value, updated, gradient = gradients(flow, params, x, context)
    assert float(global_norm(gradient)) > 1e-3
    choices = [{"memory": "remat"}, {"memory": "invert", "unroll": True}]
    for choice in [{"memory": "invert"}] if flow.bijection.num_scales > 1 else choices:
        other, *_ = problem(**VARIANTS[name], **choice)
        assert other != flow
        other_value, other_updated, other_gradient = gradients(other, params, x, context)
        np.testing.assert_allclose(other_value, value, rtol=1e-12)
        chex.assert_trees_all_close(other_updated, updated, rtol=1e-12)
        assert relative_error(other_gradient, gradient) < 1e-9


@pytest.mark.parametrize("memory", ["store", "invert"])
def test_gradients_are_those_of_finite_differences(memory, x64):
    flow, params, x, _ = problem(memory=memory)
    check_grads(
        jax.jit(lambda trainable, x: flow.log_prob_train({**params, "params": trainable}, x)[0].sum()),
        (params["params"], x),
        order=1,
        modes=["rev"],
        rtol=1e-5,
    )


def test_single_precision():
    flow, params, x, _ = problem()
    _, _, gradient = gradients(flow, params, x, None)
    for memory, tolerance in (("remat", 1e-5), ("invert", 1e-3)):
        assert relative_error(gradients(problem(memory=memory)[0], params, x, None)[2], gradient) < tolerance


def test_only_training_is_in_bfloat16():
    flow, params, x, _ = problem()
    narrow, *_ = problem(dtype="bfloat16", memory="invert")
    value, _, gradient = gradients(flow, params, x, None)
    narrow_value, narrow_updated, narrow_gradient = gradients(narrow, params, x, None)
    assert {leaf.dtype for leaf in jax.tree.leaves((narrow_value, narrow_updated, narrow_gradient))} == {
        jnp.dtype("float32")
    }
    assert 0 < abs(float(narrow_value - value)) < 0.05 * abs(float(value))
    assert 1e-5 < relative_error(narrow_gradient, gradient) < 0.5
    np.testing.assert_array_equal(narrow.log_prob(params, x), flow.log_prob(params, x))


@pytest.mark.parametrize("padding", [None, ((2, 0), (1, 1))])
def test_both_convolutions_have_the_gradients_of_the_plain_one(padding, x64):
    random = np.random.default_rng(0)
    x, kernel = jnp.asarray(random.standard_normal((2, 4, 5, 3))), jnp.asarray(random.standard_normal((3, 3, 3, 2)))
    weights = random.standard_normal((2, 4, 5, 2))

    def plain(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), padding or "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    def gradient(function):
        return jax.jit(jax.grad(lambda x, kernel: (function(x, kernel) * weights).sum(), (0, 1)))(x, kernel)

    expected = gradient(plain)
    for function in (convolve, convolve_for_training):
        found = functools.partial(function, padding=padding)
        np.testing.assert_allclose(found(x, kernel), plain(x, kernel), atol=1e-12)
        chex.assert_trees_all_close(gradient(found), expected, atol=1e-12)
    forward = jax.jacfwd(functools.partial(convolve, padding=padding), (0, 1))(x, kernel)
    chex.assert_trees_all_close(forward, jax.jacfwd(plain, (0, 1))(x, kernel), atol=1e-12)


def test_several_updates_in_a_dispatch_are_the_same_updates():
    flow = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=4)
    optimizer = clipped(Adam(), 1e-3)
    options = {"flow": flow, "optimizer": optimizer, "flip": True, "ema_decay": 0.9}
    state = one = create_state(flow, jax.random.key(0), optimizer, 0.9)
    batches = np.random.default_rng(0).integers(0, 4, (4, 6, 4, 4, 1)).astype(np.uint8)
    step = jax.jit(functools.partial(train_step, **options))
    scores = []
    for batch in batches[:3]:
        one, metrics = step(one, {"x": batch}, jax.random.key(1))
        scores.append(metrics["score"])
    several, metrics = jax.jit(functools.partial(train_steps, **options))(state, {"x": batches}, jax.random.key(1), 3)
    assert int(several.step) == 3
    np.testing.assert_allclose(metrics["score"][:3], scores, rtol=1e-5)
    chex.assert_trees_all_close(several.params, one.params, rtol=1e-4, atol=1e-5)


def test_dispatches_end_where_something_is_to_be_done():
    assert dispatches(0, 10, 4, 5, 6) == [(0, 4), (4, 1), (5, 1), (6, 4)]
    assert dispatches(7, 9, 1, 5) == [(7, 1), (8, 1)]
    assert dispatches(9, 9, 4) == []


def test_an_optimizer_on_one_vector_makes_the_same_updates():
    random = np.random.default_rng(0)
    params, gradient = ({"a": jnp.asarray(random.random((2, 3)), float), "b": jnp.ones(4)} for _ in range(2))
    plain = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1))
    results = []
    for optimizer in (clipped(Adam(), 0.1, 1.0), plain):
        updates, _ = optimizer.update(gradient, optimizer.init(params), params)
        results.append(optax.apply_updates(params, updates))
    chex.assert_trees_all_close(*results, rtol=1e-6)
    np.testing.assert_allclose(global_norm(gradient), optax.tree.norm(gradient), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["remat", "invert"])
def test_a_run_that_was_stopped_is_the_same_to_the_bit(memory, tmp_path):
    config = smoke.get_config()
    config.update(memory=memory, batch_size=8, num_steps=4, steps_per_dispatch=2, profile=1)
    config.checkpoint.every = config.evaluate.every = 2
    config.evaluate.num_examples = 8
    realnvp_jax.train(config, tmp_path / "whole")
    config.num_steps = 2
    realnvp_jax.train(config, tmp_path / "parts")
    config.num_steps = 4
    result = realnvp_jax.train(config, tmp_path / "parts")
    states = []
    for name in ("whole", "parts"):
        flow = realnvp_jax.create(config)
        target = create_state(flow, jax.random.key(0), make_optimizer(config)[0], config.ema_decay)
        checkpoints = Checkpoints(tmp_path / name, read_only=True)
        states.append(checkpoints.restore(target)[0])
        checkpoints.close()
    chex.assert_trees_all_equal(*states)
    assert np.isfinite(result["mean"])


def test_a_profile_opens_where_it_says(tmp_path):
    profile = Profile(tmp_path / "profile", 2, 10)
    x = jnp.ones(3)
    assert [profile.after(step, x + step) for step in range(11, 17)] == [False, False, False, False, True, False]
    profile.close()
    assert list(tmp_path.glob("profile/plugins/profile/*/*.xplane.pb"))
    assert list(tmp_path.glob("profile/plugins/profile/*/perfetto_trace.json.gz"))
    unused = Profile(tmp_path / "none", 0, 0)
    assert not any(unused.after(step, x) for step in range(10))
    unused.close()
    assert not (tmp_path / "none").exists()


def test_the_compilation_cache_is_on_unless_one_was_chosen(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "compilation_cache_dir", lambda: tmp_path / "of this processor")
    size = jax.config.values["jax_compilation_cache_max_size"]
    try:
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "of this processor")
        jax.config.update("jax_compilation_cache_dir", str(tmp_path / "chosen"))
        compilation_cache.enable_compilation_cache()
        assert jax.config.values["jax_compilation_cache_dir"] == str(tmp_path / "chosen")
    finally:
        jax.config.update("jax_compilation_cache_dir", None)
        jax.config.update("jax_compilation_cache_max_size", size)


def test_the_compilation_cache_is_that_of_this_processor(monkeypatch):
    here = compilation_cache.compilation_cache_dir()
    assert here == compilation_cache.compilation_cache_dir()
    monkeypatch.setattr(compilation_cache, "_processor", lambda: b"another")
    assert compilation_cache.compilation_cache_dir() != here


def test_what_cannot_be_is_refused():
    assert "memory to be one of" in refusal(realnvp_jax.image_flow, memory="forget")
    assert "dtype to be one of" in refusal(realnvp_jax.image_flow, dtype="float16")
    for key, value, model in (("profile", -1, "image_flow"), ("memory", "invert", "pixelcnn_flow")):
        config = smoke.get_config()
        config[key] = value
        config.model.name = model
        assert key in refusal(check_config, config)


def test_runs_are_kept_and_tabulated(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("collect", ROOT / "results" / "collect.py")
    collect = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(collect)
    readme, results, run = tmp_path / "README.md", tmp_path / "results", tmp_path / "runs" / "small"
    monkeypatch.setattr(collect, "README", readme)
    monkeypatch.setattr(collect, "HERE", results)
    results.mkdir()
    run.mkdir(parents=True)
    readme.write_text(f"before\n{collect.BEGIN}old\n{collect.END}after\n")
    config = smoke.get_config()
    config.dataset.data_dir = "somewhere"
    (run / "config.json").write_text(config.to_json())
    (run / "metrics.csv").write_text("step,examples_per_second\n10,32\n40,96\n")
    for picture in ("curves.png", "samples.png"):
        (run / picture).touch()
    result = {"mean": 2.5, "standard_error": 0.25, "num_examples": 1000, "num_steps": 40, "devices": "1 x cpu"}
    (run / "result.json").write_text(json.dumps(result))
    with pytest.raises(SystemExit, match=r"since version 0\.2\.0"):
        collect.collect(run, None, None)
    (run / "run.json").write_text(
        json.dumps({"command": "a command --workdir=/home/somebody/run", "date": "2026-01-02", "version": "0.2.0"})
    )
    collect.collect(run, None, None)
    collect.write_table()
    assert json.loads((results / "small" / "run.json").read_text())["training_seconds"] == 20
    assert "somewhere" not in (results / "small" / "config.json").read_text()
    lines = readme.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert "| `a command` | 1 x cpu, 2026-01-02, 0.2.0, 0 min, 40 steps of 32 | 2.500 +- 0.250 |" in lines[4]


def test_runs_of_older_versions_are_refused_and_left_alone(tmp_path):
    config = json.loads(smoke.get_config().to_json())
    del config["model"]["mixing"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    before = path.read_text()
    for function in (lambda: realnvp_jax.load(tmp_path), lambda: realnvp_jax.train(smoke.get_config(), tmp_path)):
        assert "version 0.3 or later" in refusal(function)
    assert path.read_text() == before
