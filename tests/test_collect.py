"""results/collect.py, and the tables that it writes."""

import importlib
import json

import pytest

from configs import smoke
from realnvp_jax.runs.result import describe_result
from tests.helpers import ROOT

KEPT = sorted(path.parent for path in (ROOT / "results").glob("*/run.json"))


@pytest.fixture
def collect(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "results")
    return importlib.import_module("collect")


def test_runs_are_kept_and_tabulated(collect, tmp_path, monkeypatch):
    results, run = tmp_path / "results", tmp_path / "runs" / "small"
    results.mkdir()
    run.mkdir(parents=True)
    monkeypatch.setattr(collect, "HERE", results)
    monkeypatch.setattr(collect, "ROOT", tmp_path)
    monkeypatch.setattr(collect.page_tables, "HERE", results)
    tables = collect.page_tables
    makers = {"README.md": tables.short_runs, "page.md": tables.runs, "commands.md": tables.commands}
    makers = {page: {"runs": make} for page, make in makers.items()}
    monkeypatch.setattr(collect.page_tables, "TABLES", makers)
    config = smoke.get_config()
    config.dataset.data_dir = "somewhere"
    (run / "config.json").write_text(config.to_json())
    (run / "metrics.csv").write_text("step,examples_per_second\n0,\n10,32\n40,96\n")
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
    (results / "small" / "bound_16.json").write_text(json.dumps({"mean": 2.25, "standard_error": 0.125}))
    (tmp_path / "README.md").write_text("no marks\n")
    with pytest.raises(SystemExit, match="expected the marks"):
        collect.write_tables()
    for page in makers:
        marks = "<!-- runs: written by results/collect.py -->\nold\n<!-- end of runs -->\n"
        (tmp_path / page).write_text(f"before\n{marks}after\n")
    collect.write_tables()
    assert json.loads((results / "small" / "run.json").read_text())["training_seconds"] == 20
    assert "somewhere" not in (results / "small" / "config.json").read_text()
    rows = {
        "README.md": "| [small](results/small/README.md) | 2.500 +- 0.250 |  | 0 min on 1 x cpu |",
        "page.md": "| [small](../results/small/README.md) | 2.500 +- 0.250 | 2.250 +- 0.125 |  | 0 min on 1 x cpu |",
        "commands.md": "| small | digits, 1,000 test images | 40 steps of 32, 2026-01-02, version 0.2.0 | "
        "`a command` |",
    }
    for page, row in rows.items():
        lines = (tmp_path / page).read_text().splitlines()
        assert (lines[0], lines[4], lines[-1]) == ("before", row, "after")


def test_the_committed_tables_are_those_of_the_files(collect, tmp_path, monkeypatch):
    monkeypatch.setattr(collect, "ROOT", tmp_path)
    for page in collect.page_tables.TABLES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text((ROOT / page).read_text())
    collect.write_tables()
    for page in collect.page_tables.TABLES:
        assert (tmp_path / page).read_text() == (ROOT / page).read_text(), f"run python results/collect.py: {page}"


def test_every_table_between_marks_is_written(collect):
    marks = "written by results/collect.py -->"
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/*/*.md")]
    found = {str(page.relative_to(ROOT)): page.read_text().count(marks) for page in pages}
    assert {page: count for page, count in found.items() if count} == {
        page: len(named) for page, named in collect.page_tables.TABLES.items()
    }


@pytest.mark.parametrize("run", KEPT, ids=lambda run: run.name)
def test_the_prose_of_a_run_has_its_numbers(run):
    result = json.loads((run / "result.json").read_text())
    page = (run / "README.md").read_text()
    assert describe_result(result) in page
    bound = run / "bound_16.json"
    if bound.is_file():
        assert "{mean:.3f} +- {standard_error:.3f}".format(**json.loads(bound.read_text())) in page


def test_numbers_in_the_prose_of_pages_are_those_of_the_files(collect):
    flow, true = collect.page_tables.of("vectors", "toy2d_moons"), collect.page_tables.printed("toy2d", "moons")[0]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"have {flow} nats per point, and the true density has {true.partition(' ')[0]}." in readme
    result, bound = (json.loads((ROOT / f"results/digits/{name}.json").read_text()) for name in ("result", "bound_16"))
    page = " ".join((ROOT / "docs" / "after_training.md").read_text().split())
    assert f"{bound['mean']:.3f} instead of {result['mean']:.3f} bits/dim for the digits" in page
