"""Requests to stop."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from realnvp_jax.runs.signals import InterruptedRunError, StopRequest


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_is_a_flag_and_an_inner_context_shares_it(name, code, capfd):
    before = signal.getsignal(getattr(signal, name))
    with StopRequest() as outer:
        outer.check("nothing has come")
        with StopRequest() as inner:
            assert inner is outer
            signal.raise_signal(getattr(signal, name))
            assert inner.requested
        assert signal.getsignal(getattr(signal, name)) != before
        with pytest.raises(InterruptedRunError, match="saved at step 3") as caught:
            outer.check("saved at step 3")
        assert caught.value.exit_code == code
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(getattr(signal, name))
    assert signal.getsignal(getattr(signal, name)) == before
    assert "stopping as soon as the run can be saved" in capfd.readouterr().err


def test_the_second_signal_ends_a_program():
    code = (
        "import os, signal\n"
        "from realnvp_jax.runs.signals import StopRequest\n"
        "with StopRequest(exits=True):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('first', flush=True)\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "    print('second', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=os.getcwd())
    assert (done.returncode, done.stdout) == (143, "first\n")
    assert done.stderr.endswith("stopped without saving\n")


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)

    def enter():
        with StopRequest() as stop:
            assert not stop.requested
            assert signal.getsignal(signal.SIGINT) == before

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_context_that_ends_early_gives_signals_back():
    StopRequest.end()  # there is none
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest(exits=True):
        StopRequest.end()
        assert signal.getsignal(signal.SIGTERM) == before
    with StopRequest(exits=True):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            StopRequest.end()
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == before
