"""Nonsensical values of every key, as in `tests.fuzz.configs`, which tries more of them."""

import pytest

from realnvp_jax.configs.default import KEYS
from tests.fuzz import configs
from tests.helpers import PATIENCE

_CASES = configs.cases()
_OF_ONE_KEY = [case for case in _CASES if not case.is_contradiction()]


@pytest.fixture
def _nothing_is_written():
    with configs.accepted_is_raised():
        yield


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("_nothing_is_written")
def test_nonsense_is_refused_in_one_sentence(key, tmp_path):
    """One of the ten values of each key, for each kind of flow, which changes from key to key."""
    for number, base in enumerate(configs.BASES):
        mine = [case for case in _OF_ONE_KEY if case.base == base and list(case.changes) == [key]]
        assert len(mine) == 10
        case = mine[(len(key) + 3 * number) % 10]
        _, faults = configs.refusal(case, _new(tmp_path, case), PATIENCE)
        assert not faults, case


@pytest.mark.parametrize("case", [case for case in _CASES if case.is_contradiction()], ids=str)
@pytest.mark.usefixtures("_nothing_is_written")
def test_contradictions_are_refused_in_one_sentence(case, tmp_path):
    message, faults = configs.refusal(case, _new(tmp_path, case), PATIENCE)
    assert not faults
    assert message is not None


def _new(tmp_path, case):
    folder = tmp_path / str(_CASES.index(case))
    folder.mkdir()
    return folder
