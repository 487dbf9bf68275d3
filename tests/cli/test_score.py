"""`realnvp score`."""

import csv
import json

import numpy as np
import pytest

from realnvp_jax.analysis.run import open_run
from tests.cli.helpers import realnvp, refused


@pytest.mark.slow
def test_scores_of_images(digits, tmp_path):
    test = open_run(digits).split("test").x
    np.savez(tmp_path / "noise.npz", x=np.random.default_rng(0).integers(0, 17, test.shape).astype(np.uint8))
    printed = realnvp("score", tmp_path / "noise.npz", "-w", digits, "-o", tmp_path / "scores.csv", "--reference", 50)
    for name in ("log_prob", "bits_per_dim", "percentile", "complexity_corrected", "typicality", "AUROC by"):
        assert name in printed
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["example"] for row in rows] == [str(i) for i in range(len(test))]
    note = json.loads((tmp_path / "scores.csv.json").read_text())
    assert set(note["values"]["aurocs"]) == {"likelihood", "input complexity", "typicality"}
    assert f"{note['values']['aurocs']['typicality']:.3f}" in printed
    np.savez(tmp_path / "same.npz", x=test)
    options = ["--against", "validation", "--reference", 50, "--overwrite", "-o", tmp_path / "scores.csv"]
    printed = realnvp("score", tmp_path / "same.npz", "-w", digits, *options)
    assert "median of validation" in printed
    printed = realnvp("score", tmp_path / "same.npz", "-w", digits, *options, "--against", tmp_path / "same.npz")
    assert f"median of validation, {tmp_path / 'same.npz'}" in printed
    np.savez(tmp_path / "large.npz", x=np.zeros((3, 9, 9, 1), np.uint8))
    (tmp_path / "notes.png").write_text("no picture")
    for file in ("large.npz", "notes.png", "none.npz"):
        assert "expected" in refused("score", tmp_path / file, "-w", digits, "-o", tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_scores_of_vectors(moons, tmp_path):
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "far.csv", rng.normal(5, 1, (30, 2)), delimiter=",", header="x,y", comments="")
    printed = realnvp("score", tmp_path / "far.csv", "-w", moons)
    assert "likelihood  1.000" in printed
    assert "bits_per_dim" not in printed
    with (moons / "analysis" / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert all(float(row["percentile"]) < 5 for row in rows)
