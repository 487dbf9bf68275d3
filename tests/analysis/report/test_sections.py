"""What the checks of a report find, on flows and data that are right and on some that are wrong."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import smoke, toy2d
from realnvp_jax import registry
from realnvp_jax.analysis.report.build import make_report
from realnvp_jax.analysis.report.copies_section import copies_section
from realnvp_jax.analysis.report.exactness_section import exactness_section
from realnvp_jax.analysis.report.material import gather
from realnvp_jax.analysis.run import Run
from tests.analysis.report.test_page import check_complete_in_itself
from tests.analysis.runs import parameters, run_of
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
