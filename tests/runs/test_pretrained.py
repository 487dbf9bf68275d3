"""Flows that ship with the package."""

import jax
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.data.vectors.toy import sample_toy
from realnvp_jax.runs.pretrained import FOLDER
from realnvp_jax.training.evaluation import evaluation_key
from tests.helpers import refusal

PLANAR = sorted(set(realnvp_jax.pretrained_flows()) - {"digits"})


def test_they_are_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*")) < 1.05e6  # directories count as well


def test_digits_has_its_test_result():
    flow, params = realnvp_jax.load_pretrained("digits")
    config = realnvp_jax.get_config("digits")
    from realnvp_jax.runs.setup import read_data

    test = read_data(config, flow).test
    bits = flow.bits_per_dim(params, evaluation_key(), np.asarray(test.x))
    result = realnvp_jax.pretrained_flows()["digits"]
    assert len(test) == result["num_examples"]
    assert abs(float(bits.mean()) - result["mean"]) < 1e-3  # what rounding to bfloat16 changes


@pytest.mark.parametrize("name", PLANAR)
def test_planar_flows_have_their_test_results(name):
    flow, params = realnvp_jax.load_pretrained(name)
    result = realnvp_jax.pretrained_flows()[name]
    log_prob = np.asarray(flow.log_prob(params, sample_toy(name, 20_000, seed=123)), np.float64)
    assert abs(log_prob.mean() - result["mean"]) < 4 * log_prob.std() / np.sqrt(len(log_prob)) + 1e-3
    assert flow.sample(params, jax.random.key(0), (3,)).shape == (3, 2)


def test_an_unknown_name_is_refused():
    assert refusal(realnvp_jax.load_pretrained, "moon") == (f"expected one of digits, {', '.join(PLANAR)}; got 'moon'")
