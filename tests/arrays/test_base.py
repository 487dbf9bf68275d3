"""Base distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.base import Logistic, Normal, Uniform


@pytest.mark.parametrize("base", [Normal(), Logistic(), Uniform()])
def test_base_densities_integrate_to_one_and_samples_follow_them(base):
    grid = jnp.linspace(-40, 40, 400_001)
    density = np.exp(np.asarray(base.log_density(grid), np.float64))
    np.testing.assert_allclose(density.sum() * 80 / 400_000, 1, atol=1e-3)
    samples = base.sample(jax.random.key(0), (200, 100))
    mean = (density * np.asarray(grid)).sum() / density.sum()
    deviation = np.sqrt((density * (np.asarray(grid) - mean) ** 2).sum() / density.sum())
    np.testing.assert_allclose([samples.mean(), samples.std()], [mean, deviation], atol=0.03)
