"""Which step of a run is the best by validation, and what remains known if its checkpoint is lost."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validation result so far.

    Attributes:
      step: the step of the best result; None before the first validation.
      cost: the result as a cost: smaller is better.
      lost_step: a better step whose checkpoint is lost, or None.
      lost_cost: the cost of that lost step.
      waited: the number of evaluations since the best one.
      evaluated: the step of the latest evaluation; None before the first one.
      validation_set: hash of the validation examples of these results; None in checkpoints of versions before 0.12.
    """

    step: int | None = None
    cost: float = math.inf
    lost_step: int | None = None
    lost_cost: float = math.inf
    waited: int = dataclasses.field(default=0, compare=False)
    evaluated: int | None = dataclasses.field(default=None, compare=False)
    validation_set: str | None = dataclasses.field(default=None, compare=False)

    def after(self, step: int, cost: float) -> "Best":
        """The best result after one more; the first of several equal results is the best."""
        if not cost < self.cost:
            return dataclasses.replace(self, waited=self.waited + 1, evaluated=step)
        lost = (None, math.inf) if cost < self.lost_cost else (self.lost_step, self.lost_cost)
        return Best(step, cost, *lost, evaluated=step, validation_set=self.validation_set)

    def lost(self) -> "Best":
        """What remains known if the checkpoint of the best step is lost: only the lost result."""
        if self.lost_step is not None:
            return Best(None, math.inf, self.lost_step, self.lost_cost, validation_set=self.validation_set)
        return Best(None, math.inf, self.step, self.cost, validation_set=self.validation_set)

    def measured_again(self, cost: float, validation_set: str) -> "Best":
        """The same step, with its result on other validation examples; results that cannot be compared are dropped."""
        return Best(self.step, cost, waited=self.waited, evaluated=self.evaluated, validation_set=validation_set)
