"""`realnvp publish`."""

import json
import shutil
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
import safetensors.numpy

import realnvp_jax
from realnvp_jax.analysis import publish as publishing
from realnvp_jax.analysis.exported import FUNCTIONS, example_arguments
from realnvp_jax.analysis.onnx_export import has_onnx
from tests.cli.helpers import realnvp, refused

STABLEHLO = """
import sys
sys.modules["realnvp_jax"] = None
import jax.export, numpy as np, safetensors.numpy
folder = sys.argv[1]
params = safetensors.numpy.load_file(f"{folder}/model.safetensors")
call = jax.export.deserialize(bytearray(open(f"{folder}/{sys.argv[2]}.stablehlo", "rb").read())).call
arguments = np.load(sys.argv[3])
np.savez(sys.argv[4], *[np.asarray(call(params, arguments[name])) for name in arguments.files])
"""
ONNX = """
import sys
sys.modules["jax"] = sys.modules["jaxlib"] = sys.modules["realnvp_jax"] = None
import numpy as np, onnxruntime
folder = sys.argv[1]
session = onnxruntime.InferenceSession(f"{folder}/{sys.argv[2]}.onnx")
name = session.get_inputs()[0].name
arguments = np.load(sys.argv[3])
np.savez(sys.argv[4], *[session.run(None, {name: arguments[key]})[0] for key in arguments.files])
"""


@pytest.fixture(scope="module")
def published(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "digits"
    output = realnvp("publish", "-w", digits, path, "--license", "cc-by-4.0", "--no-onnx")
    return digits, path, output


@pytest.fixture(scope="module")
def with_onnx(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("published") / "digits"
    realnvp("publish", "-w", digits, path, "--no-stablehlo")
    return path


def test_a_published_folder(published):
    workdir, path, output = published
    files = ["README.md", "config.json", "log_prob.stablehlo", "model.safetensors", "sample.stablehlo", "samples.png"]
    assert sorted(file.name for file in path.iterdir()) == files
    assert f"published: {path}" in output
    flow, params = realnvp_jax.load(workdir)
    loaded, loaded_params = realnvp_jax.load(path)
    assert loaded == flow
    chex.assert_trees_all_equal(loaded_params, params)
    card = (path / "README.md").read_text()
    result = json.loads((workdir / "result.json").read_text())
    assert card.startswith('---\nlicense: "cc-by-4.0"\nlibrary_name: realnvp_jax\n')
    assert f"value: {result['mean']:.6f}" in card
    assert f"test: {result['mean']:.3f} +- {result['standard_error']:.3f} bits/dim" in card
    data = json.loads((workdir / "data.json").read_text())
    assert all(digest in card for digest in data["sha256"].values())
    assert str(workdir) not in card


def test_the_code_of_the_card_runs(published, monkeypatch):
    _, path, _ = published
    code = [block.partition("```")[0] for block in (path / "README.md").read_text().split("```python\n")[1:]]
    monkeypatch.chdir(path.parent)
    names = {}
    exec(code[0], names)
    assert names["x"].shape == (16, 8, 8, 1)
    monkeypatch.chdir(path)
    flow, params = names["flow"], names["params"]
    names["latents"] = np.random.default_rng(0).normal(size=(16, 8, 8, 1)).astype(np.float32)
    exec(code[1], names)
    np.testing.assert_allclose(names["log_prob"](names["params"], names["x"]), flow.log_prob(params, names["x"]))


@pytest.mark.parametrize("name", ["log_prob", "sample"])
def test_stablehlo_runs_without_this_package(published, tmp_path, name):
    check_elsewhere(STABLEHLO, published[1], name, tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not has_onnx(), reason="jax2onnx is not installed")
@pytest.mark.parametrize("name", ["log_prob", "sample"])
def test_onnx_runs_without_jax(with_onnx, tmp_path, name, monkeypatch):
    files = ["README.md", "config.json", "log_prob.onnx", "model.safetensors", "sample.onnx", "samples.png"]
    assert sorted(file.name for file in with_onnx.iterdir()) == files
    flow, params = realnvp_jax.load(with_onnx)
    x, latents = (example_arguments(flow, params, which, 4)[0] for which in ("log_prob", "sample"))
    names = {"x": jax.numpy.asarray(x), "latents": latents}
    monkeypatch.chdir(with_onnx)
    exec((with_onnx / "README.md").read_text().split("```python\n")[2].partition("```")[0], names)
    expected = FUNCTIONS[name](flow, params, x if name == "log_prob" else latents)
    np.testing.assert_allclose(names[name], expected, rtol=1e-5, atol=1e-4)
    check_elsewhere(ONNX, with_onnx, name, tmp_path)


def check_elsewhere(program, path, name, tmp_path):
    """A function, called by a program in another process, is that of the flow in batches of 1, 3 and 17."""
    flow, params = realnvp_jax.load(path)
    examples = [example_arguments(flow, params, name, size, size)[0] for size in (1, 3, 17)]
    np.savez(tmp_path / "in.npz", *examples)
    arguments = [str(path), name, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True, env={"JAX_PLATFORMS": "cpu"})
    with np.load(tmp_path / "out.npz") as results:
        for got, example in zip(results.values(), examples, strict=True):
            expected = FUNCTIONS[name](flow, params, example)
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)


def test_a_folder_is_only_replaced_on_request(published, tmp_path):
    workdir, path, _ = published
    short = ["--no-stablehlo", "--no-onnx"]
    assert "which exists: choose another" in refused("publish", "-w", workdir, path, *short)
    other = tmp_path / "flow"
    realnvp("publish", "-w", workdir, other, *short)
    assert sorted(file.name for file in other.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "samples.png",
    ]
    (other / "mine.txt").write_text("precious")
    assert "and nothing else, to overwrite" in refused("publish", "-w", workdir, other, *short, "--overwrite")
    (other / "mine.txt").rename(other / "flow")  # the name of a hash in config.json, but not of a file
    assert "and nothing else, to overwrite" in refused("publish", "-w", workdir, other, *short, "--overwrite")
    (other / "flow").unlink()
    card = (other / "README.md").read_text()
    (other / "README.md").write_text(card + "mine")
    assert "got a changed file: move it" in refused("publish", "-w", workdir, other, *short, "--overwrite")
    (other / "README.md").write_text(card)
    realnvp("publish", "-w", workdir, other, *short, "--overwrite")


def test_a_function_that_differs_is_left_out(published, tmp_path, monkeypatch):
    workdir, *_ = published
    monkeypatch.setattr(publishing, "largest_difference", lambda *arguments: 0.5)
    output = realnvp("publish", "-w", workdir, tmp_path / "flow", "--no-onnx")
    assert "left out log_prob.stablehlo: it differs from the flow by 5.0e-01, more than 1e-04" in output
    assert not (tmp_path / "flow" / "log_prob.stablehlo").exists()
    card = (tmp_path / "flow" / "README.md").read_text()
    assert "Left out: `sample.stablehlo`, because of this: it differs" in card
    assert "deserialize" not in card


def test_a_function_that_cannot_be_exported_is_left_out(published, tmp_path, monkeypatch):
    workdir, *_ = published

    def fails(*arguments):
        raise RuntimeError("this part asks for the batch size")

    monkeypatch.setattr(publishing, "export_stablehlo", fails)
    output = realnvp("publish", "-w", workdir, tmp_path / "flow", "--no-onnx")
    assert "left out log_prob.stablehlo: RuntimeError: this part asks for the batch size" in output


def test_the_card_has_no_private_paths(published, tmp_path):
    workdir = shutil.copytree(published[0], tmp_path / "run")
    run = json.loads((workdir / "run.json").read_text())
    secret = "realnvp train table --config.dataset.path=/mnt/hospital/patients.csv -w '/scratch/al ice/r'"
    run["starts"] += [{**run["starts"][0], "command": secret, "version": "9.9.9"}]
    (workdir / "run.json").write_text(json.dumps(run))
    realnvp("publish", "-w", workdir, tmp_path / "flow", "--no-onnx", "--no-stablehlo")
    card = (tmp_path / "flow" / "README.md").read_text()
    assert "`realnvp train table --config.dataset.path=patients.csv -w r`" in card
    assert f"realnvp_jax {realnvp_jax.__version__}, 9.9.9" in card
    assert f"published by realnvp_jax {realnvp_jax.__version__}." in card
    assert "/mnt" not in card
    assert "/scratch" not in card


def test_without_the_packages_of_onnx_its_files_are_left_out(published, tmp_path, monkeypatch):
    workdir, *_ = published
    monkeypatch.setattr(publishing, "has_onnx", lambda: False)
    output = realnvp("publish", "-w", workdir, tmp_path / "flow", "--no-stablehlo")
    assert "left out log_prob.onnx: it needs pip install 'realnvp-jax[onnx]'" in output


@pytest.mark.parametrize("which", ["moons", "shop"])
def test_vectors_and_conditional_flows(which, request, tmp_path):
    workdir = request.getfixturevalue(which)
    output = realnvp("publish", "-w", workdir, tmp_path / "flow", "--no-onnx", "--max-file-size", 1)
    flow, params = realnvp_jax.load(tmp_path / "flow")
    leaves = safetensors.numpy.load_file(tmp_path / "flow" / "model.safetensors")
    call = jax.export.deserialize(bytearray((tmp_path / "flow" / "log_prob.stablehlo").read_bytes())).call
    arguments = example_arguments(flow, params, "log_prob", 5)
    np.testing.assert_allclose(call(leaves, *arguments), flow.log_prob(params, *arguments), rtol=1e-5)
    assert ("left out samples.png" in output) == (which == "shop")
