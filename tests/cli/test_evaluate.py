"""`realnvp evaluate`."""

import csv
import json

import jax
import numpy as np
import pytest
from click.testing import CliRunner

from realnvp_jax.analysis.run import open_run
from realnvp_jax.analysis.split_evaluation import evaluate
from realnvp_jax.cli.commands import main
from tests.cli.helpers import realnvp, refused
from tests.helpers import slow_but


@pytest.mark.parametrize("name", slow_but(["moons"], ["digits", "moons", "shop"]))
def test_evaluate_gives_the_number_of_training_to_the_bit(name, request):
    workdir = request.getfixturevalue(name)
    result = json.loads((workdir / "result.json").read_text())
    run = open_run(workdir)
    found = evaluate(run)
    assert (found.mean, found.standard_error) == (result["mean"], result["standard_error"])
    assert (run.step, found.unit, len(found.scores)) == (result["step"], result["unit"], result["num_examples"])
    if name != "shop":
        assert evaluate(run, batch_size=7).mean == pytest.approx(found.mean, rel=1e-6)
    assert f"test: {result['mean']:.3f} +- {result['standard_error']:.3f}" in realnvp("evaluate", "-w", workdir)


@pytest.mark.slow
def test_evaluate_other_splits_samples_and_seeds(digits, tmp_path):
    run = open_run(digits, "last")
    one = evaluate(run, "validation")
    assert len(one.scores) == 179
    assert one.train_mode is not None
    many = evaluate(run, "validation", num_samples=8)
    assert many.mean < one.mean
    images = run.split("validation").x[:50]
    expected = run.flow.bits_per_dim(run.params, jax.random.key(0), images, num_samples=8)
    np.testing.assert_allclose(many.scores[:50], expected, rtol=1e-5)
    assert evaluate(run, "validation", seed=1).mean != one.mean
    path = tmp_path / "scores.csv"
    printed = realnvp("evaluate", "-w", digits, "--split", "validation", "--step", "last", "--csv", path)
    assert "under the statistics of batches" in printed
    with path.open() as file:
        rows = list(csv.DictReader(file))
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in rows], one.scores, rtol=1e-6)
    note = json.loads((tmp_path / "scores.csv.json").read_text())
    assert note["values"]["mean"] == one.mean
    assert (note["step"], note["options"]["split"]) == (run.step, "validation")
    assert "which exists: add --overwrite" in refused("evaluate", "-w", digits, "--csv", path)
    realnvp("evaluate", "-w", digits, "--csv", path, "--overwrite")
    assert "expected a split, one of train, validation, test" in refused("evaluate", "-w", digits, "--split", "all")
    assert "num_samples of at least 1" in refused("evaluate", "-w", digits, "--num-samples", 0)


@pytest.mark.slow
def test_running_statistics_that_do_not_fit_are_warned_of(digits):
    result = CliRunner().invoke(main, ["evaluate", "-w", str(digits)])
    assert "warning: the two differ by 0.05 or more" in result.output  # six steps are few
