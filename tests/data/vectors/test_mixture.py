"""Gaussian mixtures and synthetic tables."""

import math

import numpy as np
from scipy import stats

from realnvp_jax.data.vectors.mixture import GaussianMixture, sample_synthetic_table


def test_mixture_density_agrees_with_scipy():
    mixture = GaussianMixture(num_components=3, num_dims=5, seed=2)
    x = mixture.sample(np.random.default_rng(0), 50)
    assert x.dtype == np.float32
    density = np.zeros(50)
    for mean, deviation, rotation in zip(mixture.means, mixture.deviations, mixture.rotations, strict=True):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(5), atol=1e-12)
        covariance = rotation @ np.diag(deviation**2) @ rotation.T
        density += stats.multivariate_normal(mean, covariance).pdf(x) / 3
    assert mixture.log_density(x).dtype == np.float64
    np.testing.assert_allclose(mixture.log_density(x), np.log(density), rtol=1e-9)


def test_mixture_density_integrates_to_one():
    axis = np.linspace(-9, 9, 400)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(GaussianMixture(num_dims=2, seed=1).log_density(grid))
    assert abs(density.sum() * (axis[1] - axis[0]) ** 2 - 1) < 1e-6


def test_mixture_samples_follow_its_density():
    one = GaussianMixture(num_components=1)
    log_density = one.log_density(one.sample(np.random.default_rng(0), 20000))
    expected = -4 * math.log(2 * math.pi * math.e) - np.log(one.deviations).sum()
    assert abs(log_density.mean() - expected) < 4 * log_density.std() / math.sqrt(20000)

    mixture = GaussianMixture()
    x = mixture.sample(np.random.default_rng(0), 40000)
    scaled = mixture.rotations * mixture.deviations[:, None, :]
    covariance = (scaled @ scaled.mT).mean(axis=0) + np.cov(mixture.means.T, bias=True)
    np.testing.assert_allclose(x.mean(axis=0), mixture.means.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.1)
    # The entropy of a mixture is at least that of its components, and at most log K more.
    gain = mixture.log_density(x).mean() + 4 * math.log(2 * math.pi * math.e) + np.log(mixture.deviations).sum() / 4
    assert -math.log(4) < gain < 0
    assert not np.array_equal(mixture.means, GaussianMixture(seed=1).means)


def test_synthetic_table_is_dependent_and_not_gaussian():
    columns, x = sample_synthetic_table(20000, 3)
    assert len(columns) == x.shape[1] == 6
    np.testing.assert_array_equal(x, sample_synthetic_table(20000, 3)[1])
    assert np.isfinite(x).all()
    assert np.log10(x.std(axis=0)).max() - np.log10(x.std(axis=0)).min() > 4
    values = dict(zip(columns, x.T, strict=True))
    assert stats.skew(values["size"]) > 1
    assert stats.kurtosis(values["error"]) > 3
    assert np.histogram(values["heat"], [-6, 2, 6, 14])[0].argmin() == 1
    assert abs(stats.spearmanr(values["heat"], values["load"])[0]) < 0.5
    assert stats.spearmanr((values["heat"] - 4) ** 2, values["load"])[0] > 0.5
    for name in columns:
        assert len(np.unique(values[name])) > 19000
