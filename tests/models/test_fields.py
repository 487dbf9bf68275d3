"""The fields of a flow: their checks, and its hash."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from realnvp_jax import Chain, Flow, Normal
from realnvp_jax.bijections.bijection import Reordered
from realnvp_jax.bijections.linear import DiagonalScaling
from realnvp_jax.models.create import MODELS
from tests.helpers import SMALL_FLOWS, small


def test_a_hash_is_the_same_in_every_process():
    code = """
from tests.helpers import SMALL_FLOWS, small
print([hash(small(name)) for name in SMALL_FLOWS])
"""
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "JAX_PLATFORMS": "cpu"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    ]
    assert printed[0].strip() == printed[1].strip() == str([hash(small(name)) for name in SMALL_FLOWS])


def test_equal_flows_have_equal_hashes_and_others_do_not(without_type_checks):
    flows = [small(name) for name in MODELS] + [small("vector_flow", transform="spline", num_bins=n) for n in (4, 5)]
    assert len({hash(flow) for flow in flows}) == len(flows)
    assert [hash(small(name)) for name in MODELS] == [hash(flow) for flow in flows[: len(MODELS)]]
    one = Flow((2,), Reordered(Chain(), (1, 0)))
    for other in (Flow([np.int64(2)], Reordered(Chain(), (1.0, np.int32(0)))), dataclasses.replace(one)):
        assert other == one
        assert hash(other) == hash(one)


def test_a_truth_value_of_numpy_hashes_as_that_of_python(without_type_checks):
    plain, of_numpy = (Flow((2,), Reordered(Chain(), (1, kind(False)))) for kind in (bool, np.bool_))
    assert of_numpy == plain
    assert hash(of_numpy) == hash(plain)


def flow_with(**fields):
    return Flow(**{"event_shape": (2,), "bijection": Chain(), **fields})


@pytest.mark.parametrize(
    ("error", "make", "message"),
    [
        (TypeError, lambda: Flow((2,), lambda x: x), "a subclass of realnvp_jax.Bijection; got a function"),
        (TypeError, lambda: Flow((2,), Chain), "got the class Chain, not an object of it, Chain()"),
        (TypeError, lambda: Flow((2,), Chain([DiagonalScaling()])), "got a list in bijection.layers"),
        (TypeError, lambda: Flow((2,), Reordered(Chain(), np.array([1, 0]))), "got a ndarray in bijection.order"),
        (
            TypeError,
            lambda: flow_with(base="normal"),
            "expected base to be an object of a subclass of realnvp_jax.Base",
        ),
        (TypeError, lambda: flow_with(base=Normal), "got the class Normal"),
        (TypeError, lambda: flow_with(dequantizer=None), "expected dequantizer to be an object of a subclass of"),
        (TypeError, lambda: flow_with(preprocessing=None), "expected preprocessing with the methods forward, inverse"),
        (ValueError, lambda: flow_with(event_shape=2), "expected event_shape to be a tuple"),
        (ValueError, lambda: flow_with(event_shape=(0,)), "expected event_shape to be sizes of at least 1"),
        (ValueError, lambda: flow_with(levels=1), "expected levels of at least 2; got 1"),
        (ValueError, lambda: flow_with(context_size=-1), "expected a context width of at least 0; got -1"),
    ],
)
def test_fields_of_other_kinds_are_refused(error, make, message, without_type_checks):
    with pytest.raises(error) as caught:
        make()
    assert message in str(caught.value)
    assert len(str(caught.value)) <= 400
