"""Toy data on the plane."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons

from realnvp_jax.data.vectors.toy import TOY, sample_toy
from tests.helpers import refusal


@pytest.mark.parametrize("name", TOY)
def test_toy_points_depend_on_the_seed_alone(name):
    x = sample_toy(name, 101, 0)
    assert x.shape == (101, 2)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, sample_toy(name, 101, 0))
    assert not np.array_equal(x, sample_toy(name, 101, 1))
    assert not np.array_equal(x, sample_toy(name, 101, [0, 1]))
    assert sample_toy(name, 1, 0).shape == (1, 2)


@pytest.mark.parametrize("name", TOY)
def test_toy_points_come_in_random_order_from_one_law(name):
    x = sample_toy(name, 8000, 0)
    other = sample_toy(name, 8000, 1)
    for axis in range(2):
        assert stats.ks_2samp(x[:4000, axis], x[4000:, axis]).pvalue > 1e-3
        assert stats.ks_2samp(x[:, axis], other[:, axis]).pvalue > 1e-3


def test_moons_are_those_of_scikit_learn():
    x, expected = sample_toy("moons", 20000, 0), make_moons(20000, noise=0.1, random_state=7)[0]
    np.testing.assert_allclose(x.mean(axis=0), expected.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), np.cov(expected.T), atol=0.02)


def test_toy_laws():
    radius = np.linalg.norm(sample_toy("circles", 10000, 0), axis=1)
    assert abs((radius > 0.75).mean() - 0.5) < 0.01
    assert abs(radius.mean() - 0.75) < 0.01

    smiley = sample_toy("smiley", 30000, 0)
    for eye in [(-1.5, 2.5), (1.5, 2.5)]:
        here = np.linalg.norm(smiley - np.array(eye), axis=1) < 1
        assert abs(here.mean() - 1 / 3) < 0.01
        np.testing.assert_allclose(smiley[here].mean(axis=0), eye, atol=0.02)
        np.testing.assert_allclose(smiley[here].std(axis=0), 0.2, atol=0.01)
    mouth = smiley[smiley[:, 1] < 1]
    np.testing.assert_allclose(mouth.mean(axis=0), [0, -2 / math.pi], atol=0.05)
    np.testing.assert_allclose(mouth.var(axis=0), [2.04, 0.54 - 4 / math.pi**2], atol=0.05)

    board = sample_toy("checkerboard", 10000, 0)
    assert np.abs(board).max() <= 4
    column, row = np.floor(board / 2).astype(int).T
    assert ((column + row) % 2 == 0).all()
    assert len(set(zip(column, row, strict=True))) == 8

    eight = sample_toy("eight_gaussians", 10000, 0)
    assert abs(np.mean(eight**2) - (8 + 2 * 0.125) / 2) < 0.05
    assert 2.5 < np.abs(sample_toy("swiss_roll", 10000, 0)).max() < 4
    assert np.ptp(sample_toy("random", 10000, 0), axis=0).max() <= 1
    np.testing.assert_allclose(sample_toy("pinwheel", 50000, 0).mean(axis=0), 0, atol=0.05)


def test_unknown_toy_data_are_refused():
    assert "did you mean 'moons'?" in refusal(sample_toy, "moon", 10, 0)
    assert "one of moons, circles" in refusal(sample_toy, "x" * 500, 10, 0)
    assert "got num=0" in refusal(sample_toy, "moons", 0, 0)
