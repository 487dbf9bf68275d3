"""Functions of flows as StableHLO and as ONNX."""

import functools
import math

import jax
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.analysis import publish
from realnvp_jax.analysis.exported import FUNCTIONS, argument_shapes, example_arguments, export_stablehlo
from realnvp_jax.analysis.onnx_export import export_onnx, has_onnx, single_operations
from realnvp_jax.analysis.publish import largest_difference, onnx_function, stablehlo_function
from realnvp_jax.runs.saved_flow import named_leaves
from tests.helpers import perturb, refusal

needs_onnx = pytest.mark.skipif(not has_onnx(), reason="jax2onnx is not installed")

FLOWS = {
    "affine": lambda: realnvp_jax.vector_flow(3, num_layers=2, hidden=(8,)),
    "conditional spline": lambda: realnvp_jax.vector_flow(
        3, num_layers=2, hidden=(8,), context=2, mixing="lu", transform="spline"
    ),
    "RealNVP": lambda: realnvp_jax.image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1, levels=4),
    "Glow": lambda: realnvp_jax.glow_flow((4, 4, 2), num_scales=2, num_steps=2, base_features=4, levels=4),
    "Flow++": lambda: realnvp_jax.glow_flow(
        (4, 4, 1),
        num_scales=1,
        num_steps=1,
        base_features=4,
        levels=4,
        conditioner="gated_dense",
        num_blocks=1,
        transform="mixture_affine",
        dequantizer="variational",
        noise_features=4,
    ),
    "MADE": lambda: realnvp_jax.autoregressive_flow(3, num_components=2, hidden=(8,)),
    "MAF": lambda: realnvp_jax.masked_autoregressive_flow(3, num_layers=2, hidden=(8,)),
    "PixelCNN": lambda: realnvp_jax.pixelcnn_flow((2, 2, 1), num_components=2, features=4, num_blocks=1, levels=4),
}


QUICK = [("conditional spline", "StableHLO"), ("conditional spline", "ONNX"), ("RealNVP", "StableHLO")]
LIMITS = {"StableHLO": 1e-6, "ONNX": 1e-5}


def cases():
    """Every flow in both formats. Those of one flow follow each other, so that its functions are compiled once."""
    for name in FLOWS:
        for form in LIMITS:
            marks = [needs_onnx] if form == "ONNX" else []
            yield pytest.param(name, form, marks=marks if (name, form) in QUICK else [*marks, pytest.mark.slow])


def flow_and_params(name):
    flow = FLOWS[name]()
    params = flow.init(jax.random.key(0))
    return flow, {**params, "params": perturb(params["params"], jax.random.key(1), 0.05)}


@pytest.mark.parametrize(("name", "form"), list(cases()))
def test_exported_functions_are_those_of_the_flow(name, form, monkeypatch):
    monkeypatch.setattr(publish, "_BATCH_SIZES", (1, 3))  # each is compiled; the batch size of an export is free
    flow, params = flow_and_params(name)
    leaves = named_leaves(flow, params)
    for function in FUNCTIONS:
        if form == "StableHLO":
            exported = stablehlo_function(leaves, export_stablehlo(flow, params, function))
        else:
            exported = onnx_function(export_onnx(flow, params, function))
        assert largest_difference(flow, params, function, exported) < LIMITS[form]


@pytest.mark.parametrize("name", ["log_prob", "sample"])
def test_unrolled_loops_compute_the_same(name):
    flow = FLOWS["MAF"]()
    params = flow.init(jax.random.key(0))
    (x,) = example_arguments(flow, params, name, 5)
    function = functools.partial(FUNCTIONS[name], flow, params)
    single = single_operations(function, [jax.ShapeDtypeStruct(x.shape, x.dtype)])
    np.testing.assert_allclose(single(x), function(x), rtol=1e-5, atol=1e-6)
    operations = str(jax.make_jaxpr(single)(x))
    assert "scan" not in operations
    assert "jit" not in operations


def test_functions_that_onnx_cannot_hold_are_refused():
    flow = realnvp_jax.pixelcnn_flow((16, 16, 3), num_components=2, features=6, num_blocks=1, levels=4)
    params = flow.init(jax.random.key(0))
    text = refusal(single_operations, functools.partial(FUNCTIONS["sample"], flow, params), argument_shapes(flow))
    assert "operations without loops in a function for ONNX; got" in text
    shapes = [jax.ShapeDtypeStruct((3,), np.float32)]
    text = refusal(single_operations, lambda x: jax.lax.while_loop(lambda v: v[0] < 5, lambda v: v + 1, x), shapes)
    assert text == "expected loops with a known number of steps for ONNX; got one without"


def test_wrong_functions_differ_however_far_the_data_are_from_0():
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(8,))
    x = 1000 + np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    params = flow.init(jax.random.key(0), x)
    log_prob, sample = (functools.partial(FUNCTIONS[name], flow, params) for name in ("log_prob", "sample"))
    assert largest_difference(flow, params, "log_prob", log_prob) == 0
    assert largest_difference(flow, params, "log_prob", lambda x: log_prob(x) + 10) > 0.5
    assert largest_difference(flow, params, "sample", lambda z: sample(z) + 0.1) > 0.01
    assert largest_difference(flow, params, "sample", lambda z: sample(z)[:1]) == math.inf
    assert largest_difference(flow, params, "log_prob", lambda x: log_prob(x) * math.nan) == math.inf


def test_infinite_values_must_agree(monkeypatch):
    flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(8,))
    params = flow.init(jax.random.key(0))
    monkeypatch.setitem(FUNCTIONS, "log_prob", lambda flow, params, x: np.where(x[:, 0] < 0, -np.inf, 0.0))
    assert largest_difference(flow, params, "log_prob", lambda x: np.where(x[:, 0] < 0, -np.inf, 0.0)) == 0
    assert largest_difference(flow, params, "log_prob", lambda x: np.zeros(len(x))) == math.inf


@needs_onnx
def test_the_density_of_outliers_in_onnx():
    flow = realnvp_jax.autoregressive_flow(2, 3, (8,), base="normal")
    params = flow.init(jax.random.key(0), np.random.default_rng(0).standard_normal((500, 2)).astype(np.float32))
    x = np.linspace(-9, 9, 37, dtype=np.float32)
    x = np.stack([x, x[::-1]], 1)
    exported = onnx_function(export_onnx(flow, params, "log_prob"))
    np.testing.assert_allclose(exported(x), flow.log_prob(params, x), rtol=1e-3)
