"""Values that are made ahead."""

import itertools
import threading

import pytest

from realnvp_jax.data.prefetch import prefetch
from tests.helpers import PATIENCE, wait_until


def test_values_are_made_ahead_in_order():
    made: list[int] = []
    seen = []
    with prefetch(lambda i: made.append(i) or i * i, range(3, 9)) as values:
        for value in values:
            seen.append(value)
            assert len(made) <= len(seen) + 3
    assert seen == [9, 16, 25, 36, 49, 64]
    assert made == [3, 4, 5, 6, 7, 8]
    with prefetch(lambda i: i, []) as values:
        assert list(values) == []
    with prefetch(lambda i: i, [4]) as values:
        assert list(values) == [4]


def test_two_values_are_ready_before_they_are_asked_for_and_errors_come_in_their_place():
    made: list[int] = []
    third = threading.Event()

    def make(i: int) -> int:
        if i == 2:
            third.wait(PATIENCE)
            raise RuntimeError("two")
        made.append(i)
        return i

    with prefetch(make, itertools.count()) as values:
        wait_until(lambda: made == [0, 1])
        assert next(values) == 0
        assert next(values) == 1
        third.set()
        with pytest.raises(RuntimeError, match="two"):
            next(values)
    assert len(made) < 10  # what waited was dropped
