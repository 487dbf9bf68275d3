"""The distance of latents from a base distribution."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from realnvp_jax import Normal, Uniform
from realnvp_jax.analysis.latent_fit import distance_by_chance, distance_from_base


@pytest.mark.parametrize("base", [Normal(), Uniform()])
def test_draws_from_the_base_are_near_it(base):
    assert distance_from_base(base.sample(jax.random.key(1), (100, 10, 10)), base) < 0.03


def test_the_distance_is_the_largest_difference_in_probability():
    shifted = np.random.default_rng(0).standard_normal(50_000) + 0.5
    assert distance_from_base(shifted, Normal()) == pytest.approx(2 * norm.cdf(0.25) - 1, abs=0.01)
    assert distance_from_base(np.full(10, 50.0), Normal()) == 1.0


def test_latents_that_are_no_numbers_have_no_distance():
    assert np.isnan(distance_from_base(np.array([0.0, np.nan]), Normal()))


def test_few_draws_are_rarely_farther_than_by_chance():
    draws = np.random.default_rng(0).standard_normal((200, 40))
    found = np.array([distance_from_base(row, Normal()) for row in draws])
    assert (found > 0.1).mean() > 0.5
    assert (found > distance_by_chance(40)).mean() < 0.03
