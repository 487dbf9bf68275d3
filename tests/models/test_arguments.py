"""Arguments of factories that make no sense are refused in one sentence."""

import numpy as np
import pytest

from realnvp_jax import autoregressive_flow, masked_autoregressive_flow, vector_flow
from realnvp_jax.models import arguments
from tests.helpers import refusal


def test_ranges():
    assert "expected l2 of at least 0; got -1" in refusal(arguments.check_nonnegative, clip_norm=0, l2=-1)
    assert "expected seed to be an integer; got '1.5'" in refusal(arguments.at_least, 0, seed=1.5)


@pytest.mark.parametrize("value", [np.array([2, 0, 1]), [2, 0, 1], None, 3])
@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (masked_autoregressive_flow, "order"),
        (masked_autoregressive_flow, "activation"),
        (autoregressive_flow, "conditioner"),
        (autoregressive_flow, "mixture"),
        (autoregressive_flow, "base"),
        (vector_flow, "memory"),
        (vector_flow, "activation"),
    ],
)
def test_a_choice_is_one_of_several_names(factory, name, value, without_type_checks):
    assert f"expected {name} to be one of (" in refusal(factory, 3, **{name: value})


def test_an_order_may_be_an_array(without_type_checks):
    assert autoregressive_flow(3, order=np.array([2, 0, 1])) == autoregressive_flow(3, order=(2, 0, 1))
