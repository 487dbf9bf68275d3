"""Which step of a run is the best by validation, and what is known once its checkpoint is lost."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validation result so far.

    Attributes:
      step: its step, None before the first.
      cost: the result as a cost: smaller is better.
      lost_step: a better step whose checkpoint is lost, or None.
      lost_cost: its cost.
    """

    step: int | None = None
    cost: float = math.inf
    lost_step: int | None = None
    lost_cost: float = math.inf

    def after(self, step: int, cost: float) -> "Best":
        """The best after one more result. Of equal results the first is the best."""
        if not cost < self.cost:
            return self
        return Best(step, cost) if cost < self.lost_cost else dataclasses.replace(self, step=step, cost=cost)

    def lost(self) -> "Best":
        """What is known once the checkpoint of the best step is lost: no result but the lost one."""
        if self.lost_step is not None:
            return Best(None, math.inf, self.lost_step, self.lost_cost)
        return Best(None, math.inf, self.step, self.cost)
