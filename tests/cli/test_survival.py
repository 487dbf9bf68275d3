"""Signals and a second program in the workdir, as in `tests.fuzz.signals`, which tries more of them."""

import signal

import pytest

from tests.fuzz.signals import Trial

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    return Trial(tmp_path_factory.mktemp("trial"))


@pytest.mark.parametrize(("number", "when"), [(signal.SIGINT, 0.1), (signal.SIGTERM, 0.5), (signal.SIGHUP, 0.7)])
def test_a_run_that_got_a_signal_goes_on_to_the_same_result(trial, number, when):
    _, faults = trial.signalled(f"run_{number}", number, when * trial.seconds)
    assert not faults


def test_the_second_of_two_programs_is_refused(trial):
    _, faults = trial.doubled("run_2", 1.0)
    assert not faults
