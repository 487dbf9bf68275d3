"""results/collect.py."""

import importlib.util
import json

import pytest

from configs import smoke
from tests.helpers import ROOT


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
