"""A trace of some training steps: where the time goes, for TensorBoard's profiler, XProf or Perfetto."""

import functools
from pathlib import Path
from typing import Any

import jax

from realnvp_jax.runs.decorations import attempt

_STEPS_BEFORE = 3  # the first ones compile and fill the pipeline


class Profile:
    """Traces steps of a run with `jax.profiler`. A trace that cannot be written is a warning.

    Args:
      path: directory of the trace.
      num_steps: the least number of steps to trace, unless the run ends before; 0 for no trace.
      first_step: the step that the run starts from.
    """

    def __init__(self, path: Path, num_steps: int, first_step: int):
        self.path = path
        self._num_steps = num_steps
        self._start: int | None = first_step + _STEPS_BEFORE if num_steps else None
        self._stop: int | None = None

    def after(self, step: int, outputs: Any) -> bool:
        """To be called after every dispatch, with the step and the outputs; returns whether a trace was written."""
        if self._start is not None and step >= self._start:
            jax.block_until_ready(outputs)
            start = functools.partial(jax.profiler.start_trace, create_perfetto_trace=True)
            self._start = None
            if attempt(self.path, start, str(self.path)):
                self._stop = step + self._num_steps
        elif self._stop is not None and step >= self._stop:
            jax.block_until_ready(outputs)
            return self.close()
        return False

    def close(self) -> bool:
        """Write what has been traced; returns whether there was anything to write."""
        was_tracing = self._stop is not None
        self._start = self._stop = None
        return was_tracing and attempt(self.path, jax.profiler.stop_trace)
