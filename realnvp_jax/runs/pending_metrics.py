"""The metrics of updates, which stay on the device until a row of metrics.csv is due."""

import math
import time

import jax
import numpy as np
import optax

from realnvp_jax.training.steps import NonFiniteLossError


class PendingMetrics:
    """The metrics of the updates since the last row, and the time that they took.

    Args:
      step: the step that the run starts from.
      batch_size: examples per update.
      schedule: the learning rate.

    Attributes:
      bad_step: the number of the first update whose metrics are not finite; None if there is none so far.
    """

    def __init__(self, step: int, batch_size: int, schedule: optax.Schedule):
        self._batch_size, self._schedule = batch_size, schedule
        self._pending: list[tuple[dict[str, jax.Array], int]] = []  # metrics on the device, and the number of updates
        self._last_row = (time.perf_counter(), step)
        self.bad_step: int | None = None

    def add(self, metrics: dict[str, jax.Array], count: int) -> None:
        """Add the metrics of one dispatch, of which only the first `count` belong to updates."""
        self._pending.append((metrics, count))

    def row(self, step: int) -> dict[str, float]:
        """Means over the updates since the last row.

        Args:
          step: the number of updates made so far.

        Raises:
          NonFiniteLossError: the loss or the gradient of an update is not finite.
        """
        fetched = []
        for metrics, count in jax.device_get(self._pending):
            fetched += [{name: np.ravel(value)[i] for name, value in metrics.items()} for i in range(count)]
        for number, metrics in enumerate(fetched, step - len(fetched) + 1):
            if not all(math.isfinite(value) for value in metrics.values()):
                loss, norm = float(metrics["score"]), float(metrics["gradient_norm"])
                self.bad_step = number
                raise NonFiniteLossError(f"loss {loss} and gradient norm {norm} at step {number}")
        self._pending = []
        now, (then, last_step) = time.perf_counter(), self._last_row
        self._last_row = (now, step)
        return {
            "train": float(np.mean([m["score"] for m in fetched])),
            "gradient_norm": float(np.mean([m["gradient_norm"] for m in fetched])),
            "learning_rate": float(np.asarray(self._schedule(step - 1))),
            "examples_per_second": (step - last_step) * self._batch_size / (now - then),
        }

    def restart_clock(self, step: int) -> None:
        """Leave out the time since the last row, which was not spent on updates."""
        self._last_row = (time.perf_counter(), step)
