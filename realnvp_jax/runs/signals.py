"""How Ctrl-C reaches the training loop: as a flag that is read between steps."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any


class InterruptedRunError(Exception):
    """The run was asked to stop; its state is saved."""


class StopRequest:
    """Ctrl-C, or a termination signal, asks the loop to stop after the step; a second one stops at once."""

    def __init__(self):
        self.requested = False
        self._previous: dict[int, Callable[..., Any] | int | None] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("\nstopping after this step (press Ctrl-C again to stop without saving) ...", file=sys.stderr, flush=True)
