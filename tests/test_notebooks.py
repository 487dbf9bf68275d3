"""The notebooks run, print what they teach, define no model and no loss, and are committed without outputs."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.helpers import PATIENCE, ROOT

NOTEBOOKS = ROOT / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells_of(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture
def jupyter(monkeypatch, tmp_path):
    """Kernels on the CPU, with inline figures, that neither read nor write the user's Jupyter files."""
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # without it jupyter_core warns
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # this checkout, and no other one that is installed
    monkeypatch.delenv("MPLBACKEND", raising=False)


def outputs_of(path: Path) -> tuple[str, dict[str, int]]:
    """Run a notebook: what it printed, with single spaces, and the number of figures of every cell that drew."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=PATIENCE, kernel_name="python3", resources=resources).execute()
    printed, figures = "", {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output
            if output.output_type == "stream":
                assert output.name == "stdout", f"{cell.id} warned: {output.text}"
                printed += output.text
            elif "image/png" in output.data:
                figures[cell.id] = figures.get(cell.id, 0) + 1
    return re.sub(" +", " ", printed), figures


def number(label: str, printed: str) -> float:
    """The number that follows the label."""
    found = re.findall(re.escape(label) + r"\s*(-?\d+\.\d+(?:e[+-]\d+)?)(?!\S)", printed)
    assert len(found) == 1, f"expected {label!r} and a number once; found {found} in:\n{printed}"
    return float(found[0])


@pytest.mark.slow
@pytest.mark.usefixtures("jupyter")
def test_flows_in_2d_prints_what_it_teaches():
    printed, figures = outputs_of(NOTEBOOKS / "flows_in_2d.ipynb")
    drawn = ("one-dimension", "two-dimensions", "jacobians", "samples", "density", "interpolation")
    assert figures == dict.fromkeys(drawn, 1)

    assert abs(number("integral over the line:", printed) - 1) < 1e-3
    assert abs(number("the same integral without log_det:", printed) - 1) > 0.05
    assert abs(number("integral over the plane:", printed) - 1) < 1e-3
    assert number("difference between the two determinants:", printed) < 1e-5

    assert number("fresh layers are the identity: max |z - x| =", printed) == 0
    assert number("structural zero, parity 0: max |dz_I/dx_T| =", printed) == 0
    assert number("structural zero, parity 1: max |dz_I/dx_T| =", printed) == 0
    log_dets = re.findall(r"log_det (\S+), of the matrix (\S+), difference (\S+)", printed)
    assert len(log_dets) == 3
    for log_det, of_matrix, difference in log_dets:
        assert abs(float(log_det)) > 0.01
        assert abs(float(log_det) - float(of_matrix)) < 1e-11
        assert float(difference) < 1e-12
    assert number("product of the Jacobians: difference", printed) < 1e-12
    assert number("sum of the log_dets: difference", printed) < 1e-12

    held_out, best = number("held-out log-density:", printed), number("log p* of the held-out points:", printed)
    assert -1.06 < held_out < best + 0.005
    assert abs(number("training log-density:", printed) - held_out) < 0.04
    assert abs(best - held_out - number("KL(p* || p):", printed)) < 0.002

    assert abs(number("sum of the density over the grid:", printed) - 1) < 0.01
    assert number("the path ends in the data: max error", printed) < 1e-4
    latent = number("straight in the latents: lowest log_prob", printed)
    assert latent > number("straight in the data: lowest log_prob", printed) + 3
    assert latent > -6


@pytest.mark.slow
@pytest.mark.usefixtures("jupyter")
@pytest.mark.parametrize("name", [path.stem for path in PATHS if path.stem != "flows_in_2d"])
def test_runs_and_draws(name):
    """The cells check their own claims by `assert`; every cell that makes a figure shows it."""
    path = NOTEBOOKS / f"{name}.ipynb"
    printed, figures = outputs_of(path)
    cells = [(cell["id"], "".join(cell["source"])) for cell in cells_of(path, "code")]
    assert figures == {name: 1 for name, source in cells if "plt.subplots" in source}
    assert sum(source.count("assert ") for _, source in cells) >= 10
    assert not re.search(r"/(home|root|tmp|Users)/", printed)


@each_notebook
def test_imports_the_package_and_defines_no_model_and_no_loss(path):
    nodes = [node for cell in cells_of(path, "code") for node in ast.walk(ast.parse("".join(cell["source"])))]
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    packages = {module.split(".")[0] for module in modules if module}
    assert "realnvp_jax" in packages
    assert not packages & {"flax", "optax"}
    assert not [node.name for node in nodes if isinstance(node, ast.ClassDef)]
    functions = [node.name for node in nodes if isinstance(node, ast.FunctionDef)]
    assert not [name for name in functions if "loss" in name]


@each_notebook
def test_is_committed_without_outputs(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kernelspec": kernel}
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    cells = cells_of(path, "code")
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert not re.search(r"/(home|root|tmp|Users)/", path.read_text())


@each_notebook
def test_has_exercises_with_collapsed_solutions(path):
    cells = json.loads(path.read_text())["cells"]
    collapsed = {"jupyter": {"source_hidden": True}, "tags": ["hide-cell"]}
    assert all(cell["metadata"] in ({}, collapsed) for cell in cells)
    solutions = [place for place, cell in enumerate(cells) if cell["metadata"]]
    exercises = [place for place, cell in enumerate(cells) if "**Exercise " in "".join(cell["source"])]
    assert len(exercises) >= 3
    assert solutions == [place + 1 for place in exercises]
    assert all("assert " in "".join(cells[place]["source"]) for place in solutions)


@each_notebook
@pytest.mark.usefixtures("jupyter")
def test_is_valid(path):
    import nbformat

    nbformat.validate(nbformat.read(path, as_version=nbformat.NO_CONVERT))


@each_notebook
def test_says_how_to_start_it(path):
    assert "pip install -e . jupyterlab" in "".join(cells_of(path, "markdown")[0]["source"])
