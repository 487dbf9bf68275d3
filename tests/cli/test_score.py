"""`realnvp score`."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs import table
from realnvp_jax.analysis.read import read_examples
from realnvp_jax.analysis.run import open_run
from realnvp_jax.runs.start import train
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


def test_scores_of_vectors(moons, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    np.savetxt(tmp_path / "far.csv", rng.normal(5, 1, (30, 2)), delimiter=",", header="x,y", comments="")
    printed = realnvp("score", tmp_path / "far.csv", "-w", moons)
    assert "likelihood  1.000" in printed
    assert "bits_per_dim" not in printed
    with (moons / "analysis" / "score.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert all(float(row["percentile"]) < 5 for row in rows)
    assert "overfits" not in printed
    monkeypatch.setattr("realnvp_jax.cli.score._LOW_MEDIAN", 100)
    printed = realnvp("score", tmp_path / "far.csv", "-w", moons, "-o", tmp_path / "again.csv")
    assert "instead of about 50: the flow probably overfits its training data" in printed


def test_every_table_may_have_the_column_of_names(moons, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("new", "one", "two"):
        frame = pd.DataFrame(rng.standard_normal((5, 2)), columns=["x", "y"]).assign(
            id=[f"{name}{i}" for i in range(5)]
        )
        frame.loc[3, "x"] = -3.4028234e38 if name == "new" else 0
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    frame.drop(columns="id").to_csv(tmp_path / "two.csv", index=False)
    against = ["--against", tmp_path / "one.csv", "--against", tmp_path / "two.csv", "--against", "validation"]
    output = tmp_path / "scores.csv"
    printed = realnvp("score", tmp_path / "new.csv", "-w", moons, "--id", "id", *against, "-o", output)
    assert "warning: 1 of 5 scores are NaN, that of 'new3' among them" in printed
    scores = pd.read_csv(output)
    assert scores["id"].tolist() == [f"new{i}" for i in range(5)]
    assert scores["log_prob"].isna().tolist() == [False, False, False, True, False]
    frame.assign(x=-3.4028234e38).to_csv(tmp_path / "far.csv", index=False)
    message = refused("score", tmp_path / "far.csv", "-w", moons, "--id", "id", "-o", tmp_path / "far.scores.csv")
    assert "expected some scores that are numbers; got 5 that are NaN" in message
    other = ["-w", moons, "-o", tmp_path / "x.csv", "--id", "id", "--against", "tset"]
    assert "'tset'" in refused("score", tmp_path / "one.csv", *other)
    assert not (tmp_path / "x.csv").exists()
    assert np.isfinite(list(json.loads((tmp_path / "scores.csv.json").read_text())["values"]["aurocs"].values())).all()


def stations(num: int = 400) -> pd.DataFrame:
    """A table as it comes: an identifier, a date, categories, a boolean, a count, and gaps."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Basel", "Bern", "Chur"], num)
    frame = pd.DataFrame({"id": [f"{i:05d}" for i in range(num)]})
    frame["date"] = pd.date_range("2024-01-01", periods=num, freq="h").strftime("%d.%m.%Y %H:%M")
    frame["city"], frame["open"] = city, rng.random(num) < 0.5
    frame["temp"] = np.where(city == "Bern", 10, 5) + rng.standard_normal(num)
    frame["flow"], frame["count"] = np.exp(rng.standard_normal(num)), rng.poisson(3, num)
    frame.loc[5:9, "flow"] = np.nan
    return frame


def of_stations(path: Path):
    config = table.get_config()
    config.dataset.path, config.dataset.drop, config.dataset.context = str(path), "id,date", "city,open"
    config.dataset.missing, config.dataset.discrete = "drop", "dequantize"
    config.num_steps, config.batch_size, config.evaluate.every = 4, 64, 2
    config.model.num_layers, config.model.hidden = 2, (8,)
    return config


@pytest.mark.slow
def test_a_table_as_it_comes_is_trained_resumed_sampled_and_scored(tmp_path, capsys):
    frame, path, workdir = stations(), tmp_path / "stations.csv", tmp_path / "run"
    frame.to_csv(path, index=False, sep=";", decimal=",")
    config = of_stations(path)
    result = train(config, workdir)
    printed = capsys.readouterr().out
    assert "columns left out: 'id, date'\nrows dropped because a value is missing: 5 of 400\n" in printed
    assert "discrete columns, with uniform noise as wide as their spacing: 'count (1)'" in printed
    assert result["dequantized"] == {"columns": ["count"], "log_mass_bound": result["mean"]}
    assert (
        f"without the noise on 'count', using the probability of its values: at least {result['mean']:.3f}" in printed
    )
    saved = json.loads((workdir / "config.json").read_text())["dataset"]["categories"]
    assert saved == ["city=Basel", "city=Bern", "city=Chur", "open=False", "open=True"]
    config.num_steps = 6
    train(config, workdir)
    assert "resumed at step 4" in capsys.readouterr().out
    assert f"{json.loads((workdir / 'result.json').read_text())['mean']:.3f} +-" in realnvp("evaluate", "-w", workdir)

    realnvp("score", path, "-w", workdir, "--id", "id", "-o", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv", dtype={"id": str})
    assert list(scores.columns) == ["id", "log_prob", "percentile", "typicality"]
    assert list(scores["id"]) == list(frame["id"].drop(range(5, 10)))
    assert np.isfinite(scores["log_prob"]).all()
    numbered = frame.assign(number=np.arange(400)).iloc[:50, ::-1].drop(columns="date")
    numbered.to_parquet(tmp_path / "part.parquet")
    realnvp("score", tmp_path / "part.parquet", "-w", workdir, "--id", "number", "-o", tmp_path / "part.csv")
    part = pd.read_csv(tmp_path / "part.csv")
    assert list(part["number"]) == [i for i in range(50) if i not in range(5, 10)]
    np.testing.assert_allclose(part["log_prob"], scores["log_prob"][:45], rtol=1e-4)
    other = ["-w", workdir, "-o", tmp_path / "x.csv"]
    assert "got also 'number'" in refused("score", tmp_path / "part.parquet", *other)
    assert "did you mean 'number'?" in refused("score", tmp_path / "part.parquet", *other, "--id", "numbers")
    frame.replace({"city": {"Chur": "Zug"}}).to_csv(tmp_path / "zug.csv", index=False)
    message = refused("score", tmp_path / "zug.csv", *other)
    assert "expected the categories that the run was started with, 'Basel, Bern, Chur', in column 'city'" in message
    renamed = frame.rename(columns={"id": "log_prob"})
    renamed.to_csv(tmp_path / "renamed.csv", index=False)
    assert "without the name of a score" in refused("score", tmp_path / "renamed.csv", *other, "--id", "log_prob")

    realnvp("sample", "-w", workdir, "-n", 6, "--context", "open=True, city=Bern", "-o", tmp_path / "one.csv")
    frame.drop(columns="open").assign(open=True, city="Bern")[:6].to_csv(tmp_path / "rows.csv", index=False)
    realnvp("sample", "-w", workdir, "--context", tmp_path / "rows.csv", "-o", tmp_path / "six.csv")
    one, six = pd.read_csv(tmp_path / "one.csv"), pd.read_csv(tmp_path / "six.csv")
    pd.testing.assert_frame_equal(one, six, rtol=1e-4)
    assert (one["count"] == one["count"].round()).all()
    message = refused("sample", "-w", workdir, "--context", "open=True,city=Brn", "-o", tmp_path / "x.csv")
    assert "one of 'Basel, Bern, Chur', in --context; got 'Brn': did you mean 'Bern'?" in message
    assert "got none for 'city'" in refused("sample", "-w", workdir, "--context", "open=True", "-o", tmp_path / "x.csv")


def test_an_id_is_of_a_table(digits):
    with pytest.raises(ValueError, match="expected --id only with a table"):
        read_examples(open_run(digits), ["x.png"], id_column="id")
