"""The metrics of updates, which stay on the device until a row of metrics.csv is due."""

import math
import time

import jax
import numpy as np
import optax

from realnvp_jax.training.steps import NonFiniteLossError

_AHEAD = 2  # dispatches that the host may be ahead of the device; a request to stop waits for them


class PendingMetrics:
    """The metrics of the updates since the last row, and the time that they took.

    Args:
      step: the step that the run starts from.
      batch_size: examples per update.
      schedule: the learning rate.
      skips: whether updates that are not finite are left out, since they have changed nothing.

    Attributes:
      bad_step: the number of the first update whose metrics are not finite; None if there is none so far.
    """

    def __init__(self, step: int, batch_size: int, schedule: optax.Schedule, skips: bool = False):
        self._batch_size, self._schedule, self._skips = batch_size, schedule, skips
        self._pending: list[tuple[dict[str, jax.Array], int]] = []  # metrics on the device, and the number of updates
        self._last_row = (time.perf_counter(), step)
        self.bad_step: int | None = None

    def add(self, metrics: dict[str, jax.Array], count: int) -> None:
        """Add the metrics of one dispatch, of which only the first `count` belong to updates.

        Waits until at most two dispatches are unfinished.
        """
        self._pending.append((metrics, count))
        if len(self._pending) > _AHEAD:
            jax.block_until_ready(self._pending[-1 - _AHEAD])

    def row(self, step: int) -> dict[str, float]:
        """Means over the updates since the last row, and the largest |log_scale|.

        Args:
          step: the number of updates made so far.

        Raises:
          NonFiniteLossError: an update, its loss or its gradient is not finite; if such updates are left out, it is
            raised when none is finite.
        """
        fetched, finite = [], []
        for metrics, count in jax.device_get(self._pending):
            fetched += [{name: np.ravel(value)[i] for name, value in metrics.items()} for i in range(count)]
        for number, metrics in enumerate(fetched, step - len(fetched) + 1):
            if all(math.isfinite(metrics[name]) for name in ("score", "gradient_norm", "update_norm")):
                finite.append(metrics)
            elif not self._skips or (number == step and not finite):
                loss, gradient, update = (float(metrics[name]) for name in ("score", "gradient_norm", "update_norm"))
                self.bad_step = number
                raise NonFiniteLossError(
                    f"loss {loss}, gradient norm {gradient} and update norm {update} at step {number}"
                )
        self._pending = []

        def mean(name: str) -> float:
            return float(np.mean([metrics[name] for metrics in finite]))

        now, (then, last_step) = time.perf_counter(), self._last_row
        self._last_row = (now, step)
        return {
            "train": mean("score"),
            **{name: mean(name) for name in ("gradient_norm", "update_norm", "parameter_norm")},
            "log_scale": float(max(metrics["log_scale"] for metrics in finite)),
            **({"skipped": len(fetched) - len(finite)} if self._skips else {}),
            "learning_rate": float(np.asarray(self._schedule(step - 1))),
            "examples_per_second": (step - last_step) * self._batch_size / (now - then),
        }

    def restart_clock(self, step: int) -> None:
        """Leave out the time since the last row, which was not spent on updates."""
        self._last_row = (time.perf_counter(), step)
