"""The fixed ingredients of a run, from config to data."""

import dataclasses

import jax
import optax

from realnvp_jax.data.examples import Splits
from realnvp_jax.models.create import Config
from realnvp_jax.models.flow import Flow
from realnvp_jax.random import root_key
from realnvp_jax.runs.trackers import Tracker
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.training.steps import unit


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config, and everything that is built from it.

    Attributes:
      config: the complete config, including the shape of the data and the names of the classes.
      flow: the flow.
      optimizer: transformation of the gradients.
      schedule: the learning rate, as a function of the number of updates made.
      splits: the data, with validation and test truncated to `evaluate.num_examples`.
      files: the run's directory.
      command: what the user typed, or None.
      tracker: where to report metrics besides the workdir, or None.
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
        """Random keys for the initial parameters, for the updates, and for the samples in pictures."""
        init_key, update_key, sample_key = jax.random.split(root_key(self.config.seed), 3)
        return init_key, update_key, sample_key
