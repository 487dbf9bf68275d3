"""`realnvp report`."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from configs import digits_labels, digits_pixelcnn
from realnvp_jax.analysis.report.build import make_report
from realnvp_jax.analysis.run import Run, open_run
from realnvp_jax.models.create import create
from tests.analysis.report.test_page import check_complete_in_itself
from tests.analysis.runs import parameters
from tests.cli.helpers import realnvp, refused

TITLES = ("At a glance", "Result", "Exactness", "Latents", "Samples", "Is it copying?", "Counter-examples", "Training")


def check_report(path) -> str:
    page = path.read_text(encoding="utf-8")
    check_complete_in_itself(page)
    assert path.stat().st_size < 5_000_000
    assert "is complete</div>" not in page  # no section failed
    for title in (*TITLES, "How it was made"):
        assert f"<h2>{title}</h2>" in page
    return page


def test_a_report_on_moons(moons, tmp_path):
    path = tmp_path / "moons.html"
    printed = realnvp("report", "-w", moons, "-n", 50, "-o", path)
    assert "report on 50 test examples" in printed
    assert "could not be computed" not in printed
    page = check_report(path)
    run = open_run(moons)
    for expected in (
        *run.fingerprint.sha256.values(),
        "The data are continuous",
        "bijection/pairs/layer/bijection/layers_1[0]",
        "given the context" if run.flow.context_size else "The density on the plane.",
        "Temperature 0.7.",
        "dataset.num_train",
    ):
        assert expected in page
    assert str(moons.parent) not in page
    values = json.loads((tmp_path / "moons.html.json").read_text())["values"]
    exact = values["Round trip in float64"]
    assert 0 < exact["value"] < exact["bound"] == 1e-6
    assert exact["unit"] == "standard deviations"
    assert values["log_det is that of the Jacobian"]["verdict"] == "green"
    assert values["The density integrates to one"]["verdict"] == "green"
    assert values["Agrees with result.json"]["verdict"] == "green"
    assert values["More dequantizations tighten the bound"]["verdict"] == "none"


def test_wrong_options_are_refused(moons, tmp_path):
    assert "extensions .html; got 'report.pdf'" in refused("report", "-w", moons, "-o", tmp_path / "report.pdf")
    assert "expected the workdir of a run" in refused("report", "-w", tmp_path)
    (tmp_path / "there.html").touch()
    assert "add --overwrite" in refused("report", "-w", moons, "-o", tmp_path / "there.html")


@pytest.mark.slow
def test_a_report_on_an_unfinished_run_of_digits(digits, tmp_path):
    workdir = tmp_path / "unfinished"
    shutil.copytree(digits, workdir)
    (workdir / "result.json").unlink()
    printed = realnvp("report", "-w", workdir, "-n", 30)
    assert "report on 30 test examples" in printed
    page = check_report(workdir / "analysis" / "report.html")
    for expected in ("test, K = 64", "The run has no result.json yet.", "scales_0/before/layer[3]", "upside down"):
        assert expected in page
    values = json.loads((workdir / "analysis" / "report.html.json").read_text())["values"]
    assert values["Training and evaluation mode agree"]["verdict"] != "none"
    assert values["More dequantizations tighten the bound"]["verdict"] == "green"
    assert values["The training is finished"]["verdict"] == "amber"


@pytest.mark.slow
def test_a_report_on_a_conditional_run_of_a_table(shop, tmp_path):
    path = tmp_path / "shop.html"
    realnvp("report", "-w", shop, "-n", 20, "-o", path)
    page = check_report(path)
    assert "given the context of the first test example" in page
    assert "Sample number i has the context of test example i." in page


@pytest.mark.slow
@pytest.mark.parametrize("configs", [digits_pixelcnn, digits_labels])
def test_a_report_on_an_untrained_flow(configs, tmp_path):
    config = configs.get_config()
    config.model.update(base_features=2, num_blocks=1, num_components=2, num_scales=1)
    if configs is digits_labels:
        config.dataset.classes = tuple("0123456789")
    flow = create(config)
    run = Run(tmp_path, config, flow, parameters(flow), 1, False)
    report = make_report(run, "realnvp report", num=10)
    check_complete_in_itself(report.html)
    found = {check.name: check.verdict for check in report.checks}
    assert found["log_det is that of the Jacobian"] == "green"
    assert not [name for name in found if name.startswith("The section")]
    has_temperature = flow.base.has_scale
    assert ("A uniform base has no temperature" in report.html) != has_temperature


@pytest.mark.slow
def test_a_run_whose_data_are_gone_is_refused(shop, tmp_path):
    workdir = tmp_path / "run"
    shutil.copytree(shop, workdir)
    config = json.loads((workdir / "config.json").read_text())
    config["dataset"]["path"] = str(tmp_path / "nowhere.csv")
    (workdir / "config.json").write_text(json.dumps(config))
    assert "nowhere.csv" in refused("report", "-w", workdir)


@pytest.mark.slow
def test_the_text_of_a_run_is_escaped(moons, tmp_path):
    run = open_run(moons)
    folder = tmp_path / "<b>&moons"
    shutil.copytree(moons, folder)
    params = jax.tree.map(np.asarray, run.params)
    report = make_report(dataclasses.replace(run, workdir=folder, params=params), "<i>", num=20)
    assert "<b>&" not in report.html
    assert "&lt;b&gt;&amp;moons" in report.html
    assert "<i>" not in report.html
