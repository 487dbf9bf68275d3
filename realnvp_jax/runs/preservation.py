"""Which checkpoints Orbax keeps."""

import dataclasses
from collections.abc import Iterable, Sequence

from orbax.checkpoint.checkpoint_managers import preservation_policy


@dataclasses.dataclass
class NewestAndTheirBest(preservation_policy.PreservationPolicy):
    """Keeps the newest checkpoints and the best step that each of them names.

    If a run has to fall back to the older of two checkpoints, the step that was the best at that time still exists.

    Attributes:
      keep: number of newest checkpoints to keep.
      best_of: the best step that each checkpoint names.
      awaits_evaluation: whether the newest checkpoint has not been evaluated yet. Until then, the one that it replaces
        is kept, since the result may turn out not to be finite.
    """

    keep: int
    best_of: dict[int, int | None]
    awaits_evaluation: bool = False

    def kept(self, steps: Iterable[int]) -> set[int | None]:
        """The steps to keep, of those with a checkpoint."""
        newest = sorted(steps)[-self.keep - self.awaits_evaluation :]
        return {*newest, *(self.best_of.get(step) for step in newest)}

    def should_preserve(
        self,
        checkpoints: Sequence[preservation_policy.PolicyCheckpointInfo],
        *,
        context: preservation_policy.PreservationContext,
    ) -> Sequence[bool]:
        """Whether to keep each of the checkpoints."""
        kept = self.kept(checkpoint.step for checkpoint in checkpoints)
        return [checkpoint.step in kept for checkpoint in checkpoints]
