"""Which checkpoints Orbax keeps."""

import dataclasses
from collections.abc import Sequence

from orbax.checkpoint.checkpoint_managers import preservation_policy


@dataclasses.dataclass
class NewestAndTheirBest(preservation_policy.PreservationPolicy):
    """Keeps the newest checkpoints and the best step that each of them names.

    If a run has to fall back to the older of two checkpoints, the step that was the best at that time still exists.

    Attributes:
      keep: number of newest checkpoints to keep.
      best_of: the best step that each checkpoint names.
    """

    keep: int
    best_of: dict[int, int | None]

    def should_preserve(
        self,
        checkpoints: Sequence[preservation_policy.PolicyCheckpointInfo],
        *,
        context: preservation_policy.PreservationContext,
    ) -> Sequence[bool]:
        """Whether to keep each of the checkpoints."""
        newest = sorted(checkpoint.step for checkpoint in checkpoints)[-self.keep :]
        kept = {*newest, *(self.best_of.get(step) for step in newest)}
        return [checkpoint.step in kept for checkpoint in checkpoints]
