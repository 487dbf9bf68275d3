"""Verdicts: bounds, and what is told of them."""

import math

import pytest

from realnvp_jax.analysis.verdicts import at_least, at_most, does_not_apply


@pytest.mark.parametrize(
    ("value", "verdict"), [(-1, "green"), (1, "green"), (1.01, "amber"), (2, "amber"), (2.01, "red"), (math.nan, "red")]
)
def test_what_should_be_small(value, verdict):
    check = at_most("name", value, 1, 2, "Why.", "nats")
    assert check.verdict == verdict
    assert check.bound == "at most 1 nats; red above 2"
    assert check.value.endswith(" nats")


@pytest.mark.parametrize(
    ("value", "verdict"), [(3, "green"), (2, "green"), (1.99, "amber"), (1, "amber"), (0.99, "red"), (math.nan, "red")]
)
def test_what_should_be_large(value, verdict):
    check = at_least("name", value, 2, 1, "Why.", "%")
    assert check.verdict == verdict
    assert check.bound == "at least 2%; red below 1%"


def test_checks_without_amber_or_without_red():
    assert at_most("name", 3, 2, 2, "Why.").verdict == "red"
    assert at_most("name", 3, 2, 2, "Why.").bound == "at most 2"
    assert at_least("name", -1e9, 0.9, -math.inf, "Why.").verdict == "amber"
    assert at_least("name", -1e9, 0.9, -math.inf, "Why.").bound == "at least 0.9"
    assert at_least("name", math.nan, 0.9, -math.inf, "Why.").verdict == "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1.23456, "1.23"), (-0.00012, "-1.2e-04"), (123456.0, "1.2e+05"), (math.inf, "inf"), (math.nan, "nan")],
)
def test_numbers_have_three_digits(value, text):
    assert at_most("name", value, 1, 1, "Why.").value == text


def test_numbers_for_json():
    found = at_most("name", 1.23456, 2, 3, "Why.", "nats").as_numbers()
    assert found == {"value": 1.23456, "bound": 2, "unit": "nats", "verdict": "green"}
    assert at_most("name", math.nan, 2, math.inf, "Why.").as_numbers()["value"] is None
    assert at_most("name", math.nan, 2, math.inf, "Why.").verdict == "red"
    assert at_most("name", 3, 2, math.inf, "Why.").bound == "at most 2"
    assert does_not_apply("name", "Why.").as_numbers()["verdict"] == "none"
