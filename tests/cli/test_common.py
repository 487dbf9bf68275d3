"""Runs that are opened by every command."""

import json
import shutil

import pandas as pd
import pytest

from configs import table
from realnvp_jax.runs.start import train
from tests.cli.helpers import realnvp, refused


@pytest.mark.slow
def test_data_that_have_changed_or_moved(shop, tmp_path):
    for name in ("run", "shop.csv"):
        copy = shutil.copytree if name == "run" else shutil.copy
        copy(shop.parent / name, tmp_path / name)
    workdir, moved = tmp_path / "run", tmp_path / "shop.csv"
    result = json.loads((workdir / "result.json").read_text())
    expected = f"test: {result['mean']:.3f} +- {result['standard_error']:.3f}"
    for place in (moved, tmp_path):
        assert expected in realnvp("evaluate", "-w", workdir, "--data-dir", place)
    frame = pd.read_csv(moved)
    frame[["price", "kind", "size"]].to_csv(moved, index=False)
    assert expected in realnvp("evaluate", "-w", workdir, "--data-dir", moved)
    pd.concat([frame, frame[:50]]).to_csv(moved, index=False)
    options = ["-w", workdir, "--data-dir", moved, "--overwrite"]
    for command in (["evaluate"], ["reconstruct"], ["score", moved]):
        assert "got 50 more rows in the three splits together: give their present place with --data-dir" in refused(
            *command, *options
        )
        printed = realnvp(*command, *options, "--allow-changed-data")
        assert printed.count("was started with: 50 more rows in the three splits together") == 1
    config = table.get_config()
    config.update(json.loads((workdir / "config.json").read_text()))
    config.dataset.path, config.num_steps = str(moved), 4
    with pytest.raises(ValueError, match=r"got 50 more rows .*set --config\.dataset\.allow_changed=True"):
        train(config, workdir)
    config.dataset.allow_changed = True
    assert train(config, workdir)["num_examples"] == 25
    realnvp("evaluate", "-w", workdir)  # these are the run's data now, at their new place
    moved.unlink()
    assert "where there is no file" in refused("evaluate", "-w", workdir)
    realnvp("sample", "-w", workdir, "-n", 5, "--context", "1", "-o", tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith("kind,size,price\n1,")


def test_workdirs_that_cannot_be_opened_are_refused(moons, tmp_path):
    for command in ("evaluate", "sample", "reconstruct", "show"):
        assert "expected the workdir of a run, with config.json; got" in refused(command, "-w", tmp_path / "nowhere")
        assert not (tmp_path / "nowhere").exists()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    shutil.copy(moons / "config.json", unfinished)
    assert "expected a checkpoint in" in refused("evaluate", "-w", unfinished)
    assert "no test result yet" in realnvp("show", "-w", unfinished)
    (unfinished / "config.json").write_text("[")
    assert "config.json' as it was written; got a damaged file" in refused("show", "-w", unfinished)
    assert "expected one of the steps [6, 3]" in refused("sample", "-w", moons, "--step", 5, "--overwrite")
    assert "'best' or 'last'; got 'first'" in refused("sample", "-w", moons, "--step", "first", "--overwrite")


@pytest.mark.slow
def test_a_run_of_another_version_says_which(digits, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(digits, other)
    for path in (other / "checkpoints").glob("*/meta/metadata"):
        meta = json.loads(path.read_text())
        del meta["sha256"]["meta"]  # it would say that the version was changed
        path.write_text(json.dumps({**meta, "version": "0.0.7"}))
    config = json.loads((other / "config.json").read_text())
    config["model"]["num_blocks"] = 3
    (other / "config.json").write_text(json.dumps(config))
    assert "(the run was made by version 0.0.7)" in refused("evaluate", "-w", other)
