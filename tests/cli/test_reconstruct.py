"""`realnvp reconstruct`."""

import jax
import numpy as np
import pytest

from realnvp_jax import Examples, vector_flow
from realnvp_jax.analysis.round_trip import reconstruct
from realnvp_jax.analysis.run import open_run
from tests.cli.helpers import realnvp
from tests.helpers import perturb


@pytest.mark.slow
def test_round_trips_of_images(digits):
    run = open_run(digits)
    examples = run.split("test").first(30)
    result = reconstruct(run.flow, run.params, examples, batch_size=8)
    assert result.latents.shape == (30, 8, 8, 1)
    x = run.flow.dequantize(jax.random.key(0), examples.x)
    np.testing.assert_allclose(result.latents, run.flow.forward(run.params, x)[0], rtol=1e-3, atol=1e-3)
    assert 0 < result.float32.mean < result.float32.largest < 1e-3
    assert result.float64.largest < 1e-9
    assert result.float32.changed < 0.01
    names = [f"scales_0/before/layer[{i}]" for i in range(4)]
    assert list(result.float32.layers) == names
    assert all(0 < mean <= largest < 1e-4 for largest, mean in result.float32.layers.values())
    printed = realnvp("reconstruct", "-w", digits, "-n", 20)
    for expected in ("20 examples of test", *names, "<- largest", "scale 0", "pixels changed"):
        assert expected in printed
    assert (digits / "analysis" / "reconstruct.png").stat().st_size > 5000


def test_round_trips_of_vectors(moons):
    printed = realnvp("reconstruct", "-w", moons, "-n", 20)
    assert "bijection/pairs/layer/bijection/layers_1[0]" in printed
    assert "standardize" in printed
    assert "warning" not in printed
    run = open_run(moons)
    result = reconstruct(run.flow, run.params, run.split("test").first(20))
    assert result.float32.is_exact
    assert 0 < result.float32.log_det < 1e-4
    np.testing.assert_allclose(
        result.float32.relative, result.float32.largest / run.split("test").first(20).x.std(axis=0).mean(), rtol=0.5
    )


def test_a_flow_that_is_not_inverted_exactly_is_called_so():
    flow = vector_flow(2, 6, (8,), transform="spline")
    x = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    params = flow.init(jax.random.key(0), x)
    params = {**params, "params": perturb(params["params"], jax.random.key(1), 2.0)}
    result = reconstruct(flow, params, Examples(x, None))
    assert not result.float32.is_exact
    assert result.float32.relative > 1


@pytest.mark.slow
def test_a_layer_that_is_badly_conditioned_is_named(digits):
    run = open_run(digits)
    changed = jax.tree.map(lambda leaf: leaf, run.params)
    conv_out = changed["params"]["scales_0"]["before"]["layer"]["conditioner"]["conv_out"]
    conv_out["bias"] = conv_out["bias"].at[2, 0].set(1e4)  # a shift that takes four digits of x
    result = reconstruct(run.flow, changed, run.split("test").first(10))
    worst = "scales_0/before/layer[2]"
    assert result.float32.worst_layer == worst
    others = [error for name, (error, _) in result.float32.layers.items() if name != worst]
    assert result.float32.layers[worst][0] > 10 * max(others)
