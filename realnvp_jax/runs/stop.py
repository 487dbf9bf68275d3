"""The requests to stop a run, by a signal to any of its processes or by the clock, which all processes see together."""

import time

import jax

from realnvp_jax.processes import maximum
from realnvp_jax.runs.signals import InterruptedRunError, StopRequest

TIME_IS_UP = 75  # EX_TEMPFAIL of sysexits.h: what failed for now, and can be tried again


class Stop:
    """Tells every process after the same call that the run is to stop, whichever of them was asked to.

    Args:
      request: the signals to this process.
      max_hours: hours from the start of the request after which the run is to stop; 0 for no limit.
    """

    def __init__(self, request: StopRequest, max_hours: float = 0.0):
        self._request = request
        self._deadline = request.started + max_hours * 3600 if max_hours else None
        self._agreed: jax.Array | None = None  # the exit code of all processes as of the last call
        self._exit_code = 0

    def requested(self) -> bool:
        """Whether any process has been asked to stop, up to now."""
        if not self._exit_code:
            code = self._own_code()
            self._exit_code = code if jax.process_count() == 1 else int(maximum(code))
        return bool(self._exit_code)

    def requested_soon(self) -> bool:
        """As `requested`, without waiting for the devices: with several processes, the answer to the previous call."""
        if jax.process_count() == 1:
            return self.requested()
        before, self._agreed = self._agreed, maximum(self._own_code())
        if not self._exit_code and before is not None:
            self._exit_code = int(before)
        return bool(self._exit_code)

    def check(self, message: str) -> None:
        """Raise InterruptedRunError if any process has been asked to stop."""
        if self.requested():
            raise self._error(message)

    def check_soon(self, message: str) -> None:
        """As `check`, but by `requested_soon`."""
        if self.requested_soon():
            raise self._error(message)

    def _own_code(self) -> int:
        """The exit code that this process has been asked for; 0 if it has not."""
        if self._request.requested:
            return self._request.exit_code
        return TIME_IS_UP if self._deadline is not None and time.monotonic() >= self._deadline else 0

    def _error(self, message: str) -> InterruptedRunError:
        return InterruptedRunError(message, self._exit_code)
