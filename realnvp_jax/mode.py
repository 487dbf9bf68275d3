"""The mode of a pass through a model.

    EVALUATE      running statistics; nothing changes, and every example is independent of its batch
    TRAIN         batch statistics, with gradients through them; the running statistics are updated
    INITIALIZE    batch statistics; layers that take their first values from data (ActNorm, standardization) set them

`TRAIN.over("devices")` takes the statistics of the global batch, over all devices of that axis. `TRAIN.drawing(key,
indices)` has a random key for dropout, which layers fold their numbers into: a layer is called with `mode.at(number)`.
"""

import dataclasses
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Mode:
    """One of the three modes.

    Attributes:
      name: evaluate, train or initialize.
      axis_name: name of the mapped axis of devices that share the batch, or None.
      draws: (random key, indices of the examples in the global batch [n]) of a training pass, or None.
    """

    name: str
    axis_name: str | None = None
    draws: Any = None

    def over(self, axis_name: str | None) -> "Mode":
        """The same mode, with the batch spread over the devices of `axis_name`."""
        return dataclasses.replace(self, axis_name=axis_name)

    def drawing(self, key: Any, indices: Any) -> "Mode":
        """The same mode, with a key for what is drawn at random for the examples with these indices."""
        return dataclasses.replace(self, draws=(key, indices))

    def at(self, number: Any) -> "Mode":
        """The mode of one of several layers, whose draws differ from those of the others."""
        if self.draws is None:
            return self
        key, indices = self.draws
        return self.drawing(jax.random.fold_in(key, number), indices)

    @property
    def trains(self) -> bool:
        """Whether gradients are taken and running statistics are updated."""
        return self.name == "train"

    @property
    def initializes(self) -> bool:
        """Whether layers take their first values from this batch."""
        return self.name == "initialize"

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether normalization uses the statistics of the batch instead of the running ones."""
        return self.name != "evaluate"


EVALUATE = Mode("evaluate")
TRAIN = Mode("train")
INITIALIZE = Mode("initialize")
