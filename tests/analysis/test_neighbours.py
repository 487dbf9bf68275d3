"""Nearest neighbours, and equal rows."""

import numpy as np
import pytest

from realnvp_jax.analysis import neighbours
from realnvp_jax.analysis.neighbours import found_in, nearest, repeated
from tests.analysis.runs import pixels, points


@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_nearest_is_found_in_any_number_of_chunks(chunk, monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK", chunk)
    queries, rows = points(20, 3), points(50, 3, seed=1)
    index, distance = nearest(queries, rows)
    every = np.linalg.norm(queries[:, None].astype(float) - rows[None], axis=-1)
    np.testing.assert_array_equal(index, every.argmin(axis=1))
    np.testing.assert_allclose(distance, every.min(axis=1), rtol=1e-12)


def test_the_distance_to_an_equal_row_is_zero():
    rows = pixels(30, 8).astype(np.float64) + 1e6  # squares of 1e12 leave no digits for a small difference
    index, distance = nearest(rows[::3], rows)
    np.testing.assert_array_equal(index, np.arange(0, 30, 3))
    assert distance.tolist() == [0] * 10


def test_equal_rows():
    rows = pixels(6, 4, 4, 1)
    rows[4] = rows[1]
    assert repeated(rows).tolist() == [False] * 4 + [True, False]
    others = pixels(5, 4, 4, 1, seed=1)
    assert not found_in(rows, others).any()
    assert found_in(rows, np.concatenate([others, rows[1:2]])).tolist() == [False, True, False, False, True, False]
    assert repeated(np.array([[0.0, 1.0], [-0.0, 1.0]])).tolist() == [False, True]


def test_distances_are_in_the_unit_of_each_column(monkeypatch):
    monkeypatch.setattr(neighbours, "_VALUES", 21)  # seven rows at a time
    queries, rows, unit = points(20, 3), points(50, 3, seed=1), np.array([0.1, 1.0, 5.0])
    for found, expected in zip(nearest(queries, rows, unit), nearest(queries / unit, rows / unit), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
