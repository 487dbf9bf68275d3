"""The data of a run: found again, known by their fingerprint, and refused when they have changed."""

import csv
import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs import table, toy2d
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.fingerprint import fingerprint
from realnvp_jax.data.vectors.csv_tables import read_csv, write_csv
from realnvp_jax.models.create import context_columns
from realnvp_jax.runs.run_data import RunData
from realnvp_jax.runs.setup import load_data
from realnvp_jax.runs.workdir import Workdir
from tests.helpers import refusal


def config_of(path: str | Path, context: str = ""):
    config = table.get_config()
    config.batch_size = 8
    config.dataset.path, config.dataset.context = str(path), context
    return config


def frame(num: int = 100) -> pd.DataFrame:
    values = np.random.default_rng(0).standard_normal((num, 3)).astype(np.float32)
    return pd.DataFrame(values, columns=["a", "b", "c"])


@pytest.fixture
def started(tmp_path):
    """(config, workdir) of a run that was started with a table."""
    frame().to_csv(tmp_path / "t.csv", index=False)
    config = config_of(tmp_path / "t.csv")
    return config, start(tmp_path / "run", config)


def start(workdir: Path, config) -> Path:
    files = Workdir(workdir, config)
    data = RunData(workdir)
    splits = data.load(config, None)
    files.start()
    data.write(splits)
    return workdir


def with_values(table, column, row, value):
    changed = table.copy()
    changed.loc[row, column] = value
    return changed


CHANGES = {
    "50 more rows in the three splits together": lambda t: pd.concat([t, t.iloc[:50] + 1]),
    "1 fewer rows in the three splits together": lambda t: t.iloc[1:],
    "column 'b' that is now 'x'": lambda t: t.rename(columns={"b": "x"}),
    "column 'a' that is now 'x' (and 1 more)": lambda t: t.rename(columns={"a": "x", "c": "z"}),
    "a new column 'd'": lambda t: t.assign(d=t["a"] * 2),
    "no column 'a' any more": lambda t: t.drop(columns="a"),
    "columns 'a, b, c' that are now 'b, a, c'": lambda t: t.set_axis(["b", "a", "c"], axis=1),
    "other values": lambda t: with_values(t, "c", 40, 0.5),
    "column 'b' that is now 'x' and 100 more rows": lambda t: pd.concat([t, t + 1]).rename(columns={"b": "x"}),
}


@pytest.mark.parametrize("found", CHANGES)
def test_data_that_have_changed_are_refused_with_what_differs_or_allowed(started, found, capsys):
    config, workdir = started
    CHANGES[found](frame()).to_csv(config.dataset.path, index=False)
    message = refusal(RunData(workdir).load, config, None)
    assert message.startswith("expected the data that the run in '")
    assert "' was started with, as in its data.json; got" in message
    assert f"; got {found}" in message
    assert message.endswith("use another --workdir, or set --config.dataset.allow_changed=True to continue with these")
    data = RunData(workdir, allow_changed=True)
    splits = data.load(config, None)
    assert f"was started with: {found}" in capsys.readouterr().err
    data.write(splits)
    RunData(workdir).load(config, None)  # these are now the run's data


def test_the_sentence_is_short_whatever_the_names_are(started):
    config, workdir = started
    long = {name: name * 200 for name in "abc"}
    pd.concat([frame()] * 2).rename(columns=long).assign(d=np.arange(200)).to_csv(config.dataset.path, index=False)
    assert "no column 'a' any more (and 2 more) and a new column" in refusal(RunData(workdir).load, config, None)


@pytest.mark.parametrize("order", ["cab", "bca"])
def test_the_same_table_with_its_columns_in_another_order_is_the_same_to_the_bit(started, order):
    config, workdir = started
    before = RunData(workdir).load(config, None)
    frame()[list(order)].to_csv(config.dataset.path, index=False)
    now = RunData(workdir).load(config, None)
    assert now.columns == before.columns == ("a", "b", "c")
    np.testing.assert_array_equal(now.train.x, before.train.x)
    assert now.train.x.strides == before.train.x.strides
    np.savez(workdir.parent / "t.npz", frame().to_numpy())  # without names
    moved = RunData(workdir).load(config_of(workdir.parent / "t.npz"), None)
    assert moved.columns == before.columns
    np.testing.assert_array_equal(moved.test.x, before.test.x)


def test_a_change_of_the_context_alone_is_found(tmp_path):
    frame().to_csv(tmp_path / "t.csv", index=False)
    config = config_of(tmp_path / "t.csv", "b")
    workdir = start(tmp_path / "run", config)
    saved = json.loads((workdir / "data.json").read_text())
    assert (saved["columns"], saved["context"]) == (["a", "b", "c"], ["b"])
    assert saved["examples"] == {"train": 80, "validation": 10, "test": 10}
    with_values(frame(), "b", 40, 0.5).to_csv(tmp_path / "t.csv", index=False)
    assert "got other values: use" in refusal(RunData(workdir).load, config, None)


def test_generated_data_have_a_fingerprint_of_their_whole_splits(tmp_path):
    config = toy2d.get_config("moons")
    config.dataset.num_train = 600
    workdir = start(tmp_path, config)
    assert json.loads((workdir / "data.json").read_text())["examples"]["test"] == 100_000
    RunData(workdir).load(config, None)
    config.dataset.seed = 1
    assert "got other values: use" in refusal(RunData(workdir).load, config, None)


def test_a_run_without_a_fingerprint_goes_on_and_gets_one(started):
    config, workdir = started
    (workdir / "data.json").unlink()
    frame(150).to_csv(config.dataset.path, index=False)
    splits = RunData(workdir).load(config, None)
    assert len(splits.train) == 120
    RunData(workdir).write(splits)
    assert RunData(workdir).fingerprint == fingerprint(splits)


def test_a_relative_path_is_found_from_another_directory(tmp_path, monkeypatch):
    (tmp_path / "home" / "data").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    frame().to_csv("data/t.csv", index=False)
    config = config_of("data/t.csv")
    start(Path("runs/one"), config)
    workdir = tmp_path / "home" / "runs" / "one"
    assert json.loads((workdir / "config.json").read_text())["dataset"]["path"] == "data/t.csv"
    assert json.loads((workdir / "data.json").read_text())["directory"] == os.path.join("..", "..")
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = RunData(workdir)
    data.write(data.load(config, None))  # resumed
    RunData(Path("../home/runs/one")).load(config, None)
    (tmp_path / "home").rename(tmp_path / "moved")
    RunData(tmp_path / "moved" / "runs" / "one").load(config, None)
    (tmp_path / "moved" / "data").rename(tmp_path / "elsewhere" / "data")
    RunData(tmp_path / "moved" / "runs" / "one").load(config, None)  # then from here


def test_the_path_may_differ_where_a_fingerprint_tells_whether_the_data_do(started):
    config, workdir = started
    moved = workdir.parent / "moved.csv"
    Path(config.dataset.path).rename(moved)
    other = config_of(moved)
    Workdir(workdir, other)
    RunData(workdir).load(other, None)
    other.dataset.allow_changed = True
    Workdir(workdir, other)
    (workdir / "data.json").unlink()
    with pytest.raises(ValueError, match=r"dataset.path was '.*, now '.*: use another --workdir"):
        Workdir(workdir, other)


def test_columns_with_any_name_are_written_as_they_are_read(tmp_path):
    names = ["length, mm", 'so-called "x"', "row", "example", "place", "Größe"]
    values = np.random.default_rng(0).standard_normal((10, 6)).astype(np.float32)
    values[3, 1] = np.nan
    parts = (dict(zip(names, part.T, strict=True)) for part in (values[:4], values[4:]))
    write_csv(tmp_path / "x.csv", parts)
    read = read_csv(tmp_path / "x.csv")
    assert list(read.columns) == names
    np.testing.assert_array_equal(read.to_numpy(np.float32), values)
    with (tmp_path / "x.csv").open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == names
    values[3, 1] = 0
    write_csv(tmp_path / "x.csv", [dict(zip(names, values.T, strict=True))])
    config = config_of(tmp_path / "x.csv", 'row, "length, mm"')
    config.batch_size = 2
    assert context_columns(config) == ("row", "length, mm")
    np.testing.assert_array_equal(load_data(config, None).train.context.shape, (8, 2))
    assert not (tmp_path / "x.csv.partial").exists()


def test_other_images_than_those_of_the_run_are_refused(tmp_path):
    part = Examples(np.zeros((1, 2, 2, 1), np.uint8))
    splits = Splits(part, part, part, files={"train": ["a.png"], "test": ["b.png"]}, sha256={"all": "0"})
    RunData(tmp_path).write(splits)
    assert json.loads((tmp_path / "split_files.json").read_text())["train"] == ["a.png"]
    version_02 = tmp_path / "version 0.2"
    version_02.mkdir()
    (version_02 / "split_files.json").write_text('{"sha256": {"all": "0"}, "train": ["a.png"], "test": ["b.png"]}')
    for workdir in (tmp_path, version_02):
        data = RunData(workdir)
        assert data.match(splits) == splits
        with pytest.raises(
            ValueError, match=r"expected the images that the run in .*; got other pixels or labels: use another"
        ):
            data.match(dataclasses.replace(splits, sha256={"all": "1"}))
        other = dataclasses.replace(splits, sha256={"all": "1"}, files={"train": ["b.png"], "test": ["a.png"]})
        with pytest.raises(ValueError, match=r"got 2 files added, removed or moved to another split, such as 'a.png'"):
            data.match(other)
    for name in ("data.json", "split_files.json"):
        (tmp_path / name).write_text("{")
        with pytest.raises(ValueError, match=rf"{name}' as it was written; got a damaged file"):
            RunData(tmp_path)
        (tmp_path / name).unlink()
