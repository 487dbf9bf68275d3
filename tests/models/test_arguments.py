"""Arguments of factories that make no sense are refused in one sentence."""

import pytest

from realnvp_jax.models import arguments
from tests.helpers import refusal


@pytest.mark.parametrize("alpha", ["x", None, float("nan"), True, [0.1], 1j])
def test_alpha_is_a_number(alpha):
    assert "expected alpha to be a finite number; got " in refusal(arguments.check_levels, 4, alpha)


@pytest.mark.parametrize(("levels", "alpha"), [(4, 0), (2, 0.05), (256, 0.499)])
def test_numbers_in_range_are_taken(levels, alpha):
    arguments.check_levels(levels, alpha)


def test_ranges():
    assert "alpha in [0, 0.5); got -0.1" in refusal(arguments.check_levels, 4, -0.1)
    assert "expected l2 of at least 0; got -1" in refusal(arguments.check_nonnegative, clip_norm=0, l2=-1)
    assert "expected seed to be an integer; got '1.5'" in refusal(arguments.at_least, 0, seed=1.5)
