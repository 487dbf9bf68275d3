"""A trace of some training steps: where the time goes, for TensorBoard's profiler, XProf or Perfetto."""

from pathlib import Path
from typing import Any

import jax

_STEPS_BEFORE = 3  # the first ones compile and fill the pipeline


class Profile:
    """Traces steps of a run with `jax.profiler`.

    Args:
      path: directory of the trace.
      num_steps: how many steps to trace at least; 0 for none.
      first_step: the step that the run starts from.
    """

    def __init__(self, path: Path, num_steps: int, first_step: int):
        self.path = path
        self._start, self._stop = first_step + _STEPS_BEFORE, first_step + _STEPS_BEFORE + num_steps
        self._is_waiting, self._is_tracing = num_steps > 0, False

    def after(self, step: int, outputs: Any) -> bool:
        """To be called after every dispatch, with the steps made and its outputs; whether the trace was written."""
        if self._is_waiting and step >= self._start:
            jax.block_until_ready(outputs)
            jax.profiler.start_trace(str(self.path), create_perfetto_trace=True)
            self._is_waiting, self._is_tracing = False, True
        elif self._is_tracing and step >= self._stop:
            jax.block_until_ready(outputs)
            self.close()
            return True
        return False

    def close(self) -> None:
        """Write what has been traced."""
        if self._is_tracing:
            self._is_tracing = False
            jax.profiler.stop_trace()
