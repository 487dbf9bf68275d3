"""What a run is made of, which does not change from its start to its end."""

import dataclasses

import jax
import optax

from realnvp_jax.data.examples import Splits
from realnvp_jax.models.create import Config
from realnvp_jax.models.flow import Flow
from realnvp_jax.runs.trackers import Tracker
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.training.steps import unit


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config, and what follows from it.

    Attributes:
      config: all keys, the shape of the data and the names of the classes among them.
      flow: the flow.
      optimizer: transformation of the gradients.
      schedule: the learning rate, as a function of the number of updates made.
      splits: the data, those to evaluate cut to `evaluate.num_examples`.
      files: the run's directory.
      command: what the user typed, or None.
      tracker: where metrics are reported besides the workdir, or None.
    """

    config: Config
    flow: Flow
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    splits: Splits
    files: Workdir
    command: str | None
    tracker: Tracker | None = None

    @property
    def unit(self) -> str:
        """Unit of the scores."""
        return unit(self.flow)

    def keys(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Random keys of the initial parameters, of the updates and of the samples in pictures."""
        init_key, update_key, sample_key = jax.random.split(jax.random.key(self.config.seed), 3)
        return init_key, update_key, sample_key
