"""Discrete columns are found, and dequantized."""

import math

import numpy as np
import pytest
import sklearn.datasets

from realnvp_jax.data.vectors.discrete import (
    Grid,
    dequantize_columns,
    describe_discrete,
    discrete_error,
    find_discrete,
    find_grid,
    mass_bound,
)
from realnvp_jax.data.vectors.mixture import GaussianMixture, sample_synthetic_table
from realnvp_jax.data.vectors.toy import TOY, sample_toy
from tests.helpers import refusal


def columns(num: int) -> dict[str, np.ndarray]:
    """Columns whose names say whether they are discrete."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(num)
    return {
        "discrete: row numbers": np.arange(num) + 7,
        "discrete: row numbers in another order": rng.permutation(num),
        "discrete: hourly times": 3600.0 * np.arange(num) + 1.7e9,
        "discrete: counts": rng.poisson(3, num),
        "discrete: two decimals": normal.round(2),
        "discrete: 70% zeros": np.where(rng.random(num) < 0.7, 0, normal),
        "discrete: constant but for one": np.arange(num) == 0,
        "float64": normal,
        "float32": normal.astype(np.float32),
        "float32 in [0, 1)": rng.random(num, np.float32),
        "whole numbers in a wide range": (1e6 * normal).round(),
        "random identifiers": rng.integers(0, 2**40, num),
        "two decimals of large values": (1e3 * normal).round(2),
    }


@pytest.mark.parametrize("num", [50, 1000, 100_000])
def test_discrete_columns_are_found(num):
    table = columns(num)
    found = find_discrete(np.stack(list(table.values()), axis=1))
    assert [list(table)[i] for i in found] == [name for name in table if name.startswith("discrete")]


def test_published_continuous_data_are_handled_as_the_configs_say():
    for name in TOY:
        assert find_discrete(sample_toy(name, 100_000, 0)) == []
    assert find_discrete(sample_synthetic_table(200_000, 0)[1]) == []
    assert find_discrete(GaussianMixture().sample(np.random.default_rng(0), 50_000)) == []
    for load in (sklearn.datasets.load_wine, sklearn.datasets.load_breast_cancer):
        assert find_discrete(load().data)  # hence dataset.discrete="continuous" in configs/tabular.py
    assert find_discrete(np.ones((1, 2))) == []


def test_the_sentence_says_how_much_repeats():
    values = np.array([0.0, 0, 0, 1, 1, 5, 6.5, 7])
    assert describe_discrete(values, "count") == (
        "62% of the rows of column 'count' repeat one of 2 values: its density has no upper bound"
    )
    assert "38% of the rows of column 'c' repeat one value: its" in describe_discrete(
        np.array([0.0] * 3 + [*"12345"]).astype(float), "c"
    )
    assert "column 'id', which numbers the rows" in describe_discrete(np.arange(9), "id")
    error = discrete_error(np.stack([values] * 3, axis=1), ["a" * 300, "b" * 300, "c"], [0, 1, 2])
    assert len(str(error)) <= 400
    assert "set --config.dataset.discrete to dequantize" in str(error)
    error = discrete_error(np.stack([values, np.arange(8), values], axis=1), ["a", "id", "c"], [0, 1, 2])
    assert "got column 'id', which numbers the rows (its values are distinct whole numbers): leave such" in str(error)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("spacing", "origin", "steps"),
    [(1, 0, [0, 1, 2, 5]), (0.01, 80, [0, 1, 700, 1300]), (2.5, -5, [0, 2, 3]), (1, 0, [0, 1, 100_000])],
)
def test_the_spacing_of_values_is_found(dtype, spacing, origin, steps):
    grid = find_grid((origin + spacing * np.repeat(steps, 3)).astype(dtype), "x")
    np.testing.assert_allclose([grid.origin, grid.spacing], [origin, spacing], rtol=1e-4)


def test_values_that_are_not_equally_spaced_are_refused():
    for values in (np.where(columns(1000)["float32"] < 0, 0, columns(1000)["float32"]), np.array([0, 1, math.pi, 10])):
        assert "expected equally spaced values, for dataset.discrete=dequantize; got" in refusal(find_grid, values, "x")


def test_noise_has_the_width_of_the_spacing_and_follows_the_name():
    values = np.stack([np.arange(5000) % 4, np.arange(5000) % 3 * 0.5], axis=1)
    grids = {"b": Grid(0, 0.5)}
    noisy = dequantize_columns(values, ["a", "b"], grids, (3, 0))
    noise = noisy - values
    np.testing.assert_array_equal(noise[:, 0], 0)
    assert -0.25 <= noise[:, 1].min() < -0.249
    assert 0.249 < noise[:, 1].max() <= 0.25
    np.testing.assert_array_equal(grids["b"].round(noisy[:, 1]), values[:, 1])
    swapped = dequantize_columns(values[:, ::-1], ["b", "a"], grids, (3, 0))
    np.testing.assert_array_equal(swapped[:, ::-1], noisy)
    assert not np.array_equal(dequantize_columns(values, ["a", "b"], grids, (3, 1)), noisy)
    assert dequantize_columns(values, ["a", "b"], {}, (3, 0)) is values


def test_the_bound_is_below_the_log_probability():
    """Of values with probabilities 0.2 and 0.8, spacing 0.5, under a normal density of the dequantized values."""
    values = np.where(np.arange(100_000) % 5 == 0, 0, 0.5)
    noisy = dequantize_columns(values[:, None], ["x"], {"x": Grid(0, 0.5)}, (0, 0))[:, 0]
    mean, deviation = noisy.mean(), noisy.std()
    log_density = -0.5 * ((noisy - mean) / deviation) ** 2 - math.log(deviation * math.sqrt(2 * math.pi))
    bound = mass_bound(log_density.mean(), {"x": Grid(0, 0.5)})
    edges = [0.5 * (1 + math.erf((edge - mean) / deviation / math.sqrt(2))) for edge in (-0.25, 0.25, 0.75)]
    mass = 0.2 * math.log(edges[1] - edges[0]) + 0.8 * math.log(edges[2] - edges[1])
    assert mass - 0.2 < bound < mass
