"""Damaged data files, of which `python -m tests.fuzz.data` reads more."""

import pytest

from tests.fuzz.data import KINDS, read_damaged


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused_in_one_sentence(kind, tmp_path):
    outcomes = {read_damaged(kind, 1, number, tmp_path) == "read" for number in range(30)}
    assert outcomes == {True, False}


@pytest.mark.parametrize("number", [28, 1342, 1906])  # text that is not Unicode
def test_files_that_once_failed_are_refused(number, tmp_path):
    assert read_damaged("table.npz", 0, number, tmp_path).startswith("expected ")
