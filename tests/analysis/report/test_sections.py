"""What the checks of a report find, on flows and data that are right and on some that are wrong."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from configs import smoke, toy2d
from realnvp_jax import registry
from realnvp_jax.analysis.report import build, material
from realnvp_jax.analysis.report.build import make_report
from realnvp_jax.analysis.report.copies_section import copies_section
from realnvp_jax.analysis.report.exactness_section import exactness_section
from realnvp_jax.analysis.report.material import gather
from realnvp_jax.analysis.report.provenance_section import provenance_section
from realnvp_jax.analysis.report.result_section import result_section
from realnvp_jax.analysis.run import Run
from realnvp_jax.data.examples import Examples
from tests.analysis.report.test_page import check_complete_in_itself
from tests.analysis.runs import GREY, parameters, pixels, run_of
from tests.analysis.test_jacobian import OnePercentOff
from tests.helpers import perturb

JACOBIAN, INTEGRAL = "log_det is that of the Jacobian", "The density integrates to one"
LEAK, REPEATED = "Test examples are not in the training split", "Training examples are not repeated"


def moons(tmp_path, transform: str = "affine") -> Run:
    """An untrained flow of moons whose couplings have random parameters."""
    config = toy2d.get_config("moons")
    config.dataset.num_train = 600
    config.evaluate.num_examples = 300
    config.model.update(num_layers=2, hidden=(8,), transform=transform)
    run = run_of(config)
    x = run.split("train").x
    params = perturb(run.flow.init(jax.random.key(0), x), jax.random.key(1), size=0.1)
    return dataclasses.replace(run, workdir=tmp_path, params=params)


def verdicts(section) -> dict[str, str]:
    return {check.name: check.verdict for check in section.checks}


@pytest.fixture
def own_parts(monkeypatch):
    """Parts that are registered in a test are forgotten after it."""
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})


def test_a_log_det_that_is_wrong_by_one_percent_is_red(tmp_path, own_parts):
    registry.register("transform", "one_percent_off", OnePercentOff)
    found = verdicts(exactness_section(gather(moons(tmp_path, "one_percent_off"), 20)))
    assert found.pop(JACOBIAN) == "red"
    assert found.pop(INTEGRAL) != "red"  # too small an error for the sum over the plane
    assert set(found.values()) == {"green"}  # no round trip reveals it


@pytest.mark.slow
def test_a_flow_that_is_right_is_green(tmp_path):
    material = gather(moons(tmp_path), 20)
    assert set(verdicts(exactness_section(material)).values()) == {"green"}
    found = verdicts(copies_section(material))
    assert (found[LEAK], found[REPEATED]) == ("green", "green")


def test_training_examples_in_the_test_split_are_red(tmp_path):
    config = smoke.get_config()
    config.dataset.test = "all[:10%]"  # which a training refuses; files may hold copies that it does not know of
    config.model.base_features = 2
    run = run_of(config)
    run = dataclasses.replace(run, workdir=tmp_path, params=parameters(run.flow))
    found = {check.name: check for check in copies_section(gather(run, 20)).checks}
    assert found[LEAK].verdict == "red"
    assert found[LEAK].value == "100%"
    assert found[REPEATED].verdict == "green"
    assert found["Samples are not copies of training examples"].verdict == "none"


def test_a_flow_that_copies_and_repeated_examples_are_red(tmp_path):
    material = gather(moons(tmp_path), 100)
    train = material.run.split("train")
    train.x[300:] = train.x[:300]
    material.__dict__["samples"] = train.x[:100] + np.float32(1e-6)
    found = verdicts(copies_section(material))
    assert found["Samples are not copies of training examples"] == "red"
    assert found[REPEATED] == "red"


@pytest.mark.slow
def test_a_flow_that_is_not_a_number_gets_a_report_in_red(tmp_path):
    run = moons(tmp_path)
    broken = jax.tree.map(lambda leaf: np.full(leaf.shape, np.nan, leaf.dtype), run.params)
    with np.errstate(all="ignore"):
        report = make_report(dataclasses.replace(run, params=broken), "realnvp report", num=20)
    found = {check.name: check.verdict for check in report.checks}
    assert found[JACOBIAN] == "red"
    assert found["Better than a baseline"] == "red"
    assert found["The section 'Counter-examples' is complete"] == "red"
    assert found["The training is finished"] == "amber"
    check_complete_in_itself(report.html)


def test_any_error_of_a_section_is_a_failed_check_without_folders(tmp_path):
    def fails(material):
        raise RuntimeError("out of memory: 1/2 of '/home/somebody/run/result.json'")

    (check,) = build._made("Samples", fails, gather(moons(tmp_path), 20)).checks
    assert check.verdict == "red"
    assert check.sentence == "RuntimeError: out of memory: 1/2 of 'result.json'"

    def stops(material):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build._made("Samples", stops, gather(moons(tmp_path), 20))


def test_a_result_of_other_parameters_or_of_more_examples_is_no_failure(tmp_path):
    run = moons(tmp_path)
    result = {"mean": 50.0, "standard_error": 0.1, "unit": "nats", "num_examples": 300, "ema": False, "num_steps": 9}

    def found(step: int, num: int) -> tuple[str, str]:
        (tmp_path / "result.json").write_text(json.dumps({**result, "step": step}))
        checks = verdicts(result_section(gather(run, num)))
        return checks["The training is finished"], checks["Agrees with result.json"]

    assert found(1, 20) == ("green", "amber")
    assert found(1, 300) == ("green", "red")
    assert found(2, 20) == ("amber", "none")


def test_paths_are_shown_without_their_folders(tmp_path):
    run = moons(tmp_path)
    run.config.dataset.path = run.config.dataset.cache_dir = "/home/somebody/data/moons.csv"
    start = {"command": "realnvp train --workdir=/home/somebody/run"}
    (tmp_path / "run.json").write_text(json.dumps(start))  # as in version 0.3
    section = provenance_section(gather(run, 20), "realnvp report -w /home/somebody/run")
    text = repr(section)
    assert "somebody" not in text
    assert str(tmp_path) not in text
    for expected in ("Data: moons moons.csv", "realnvp report -w run", "realnvp train --workdir=run"):
        assert expected in text
    (tmp_path / "run.json").write_text("{")
    assert len(provenance_section(gather(run, 20), "").parts) == len(section.parts) - 1


def test_crops_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    run, x = GREY(), pixels(10, 12, 12, 1, levels=17)
    whole = material._at_the_models_size(run, Examples(x)).x
    monkeypatch.setattr(material, "_CROPPED", 3)
    assert whole.shape == (10, 8, 8, 1)
    np.testing.assert_array_equal(material._at_the_models_size(run, Examples(x)).x, whole)
