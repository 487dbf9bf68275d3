"""results/collect.py."""

import importlib.util
import json

import pytest

from configs import smoke
from tests.helpers import ROOT


@pytest.fixture
def collect():
    spec = importlib.util.spec_from_file_location("collect", ROOT / "results" / "collect.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_runs_are_kept_and_tabulated(collect, tmp_path, monkeypatch):
    pages = {name: tmp_path / f"{name}.md" for name in ("README", "PAGE")}
    results, run = tmp_path / "results", tmp_path / "runs" / "small"
    for name, page in pages.items():
        monkeypatch.setattr(collect, name, page)
        page.write_text(f"before\n{collect.BEGIN}old\n{collect.END}after\n")
    monkeypatch.setattr(collect, "HERE", results)
    results.mkdir()
    run.mkdir(parents=True)
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
    collect.write_tables()
    assert json.loads((results / "small" / "run.json").read_text())["training_seconds"] == 20
    assert "somewhere" not in (results / "small" / "config.json").read_text()
    rows = {
        "README": "| [small](results/small/README.md) | 2.500 +- 0.250 |  | 0 min on 1 x cpu |",
        "PAGE": "| [small](../results/small/README.md) | digits, 1,000 test images | `a command` | "
        "1 x cpu, 2026-01-02, 0.2.0, 0 min, 40 steps of 32 | 2.500 +- 0.250 |  |",
    }
    for name, page in pages.items():
        lines = page.read_text().splitlines()
        assert (lines[0], lines[-1]) == ("before", "after")
        assert lines[4] == rows[name]


def test_the_committed_tables_are_those_of_the_kept_runs(collect):
    for page, table in ((collect.README, collect.short_table()), (collect.PAGE, collect.full_table())):
        assert collect.BEGIN + table + collect.END in page.read_text()
