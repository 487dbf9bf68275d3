"""Requests to stop a run set a flag, which the run reads wherever it can stop.

Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) ask the run to stop after the updates at hand, once it has
saved; a second signal ends the program at once. The exit code is 128 + the signal's number: 130, 143 and 129.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class InterruptedRunError(Exception):
    """The run was asked to stop.

    Args:
      message: what was saved, and how to continue.
      exit_code: what the program should exit with.
    """

    def __init__(self, message: str, exit_code: int = 128 + signal.SIGINT):
        super().__init__(message)
        self.exit_code = exit_code


class StopRequest:
    """A context in which signals set a flag. An inner context shares the flag of an outer one.

    A signal that is ignored, as under nohup, stays so. Outside of the main thread, signals are not handled.

    Args:
      exits: whether a second signal ends the process; otherwise it raises KeyboardInterrupt.
    """

    _active: ClassVar["StopRequest | None"] = None

    def __init__(self, *, exits: bool = False):
        self.number: int | None = None
        self.started = time.monotonic()
        self._exits = exits
        self._previous: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "StopRequest":
        if StopRequest._active is not None:
            return StopRequest._active
        if threading.current_thread() is threading.main_thread():
            StopRequest._active = self
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if handler not in (signal.SIG_IGN, None):  # as under nohup; None was not installed by Python
                    self._previous[number] = handler
                    signal.signal(number, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        if StopRequest._active is self:
            for number, handler in self._previous.items():
                signal.signal(number, handler)
            StopRequest._active = None

    @classmethod
    def end(cls) -> None:
        """Leave the active context early, if there is one; a signal that has arrived ends the program."""
        active = cls._active
        if active is not None:
            active.__exit__()
            if active.requested:
                sys.exit(active.exit_code)

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number."""
        return 128 + (self.number or signal.SIGINT)

    def check(self, message: str) -> None:
        """Raise InterruptedRunError if a signal has arrived."""
        if self.requested:
            raise InterruptedRunError(message, self.exit_code)

    def _request(self, number: int, frame: Any) -> None:
        if not self.requested:
            self.number = number
            _tell("\nstopping as soon as the run can be saved (press Ctrl-C again to stop without saving) ...\n")
        elif self._exits:
            _tell("\nstopped without saving\n")
            os._exit(128 + number)
        else:
            raise KeyboardInterrupt


def _tell(text: str) -> None:
    """Write to stderr; unlike print, this works in the middle of another print."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, text.encode())
