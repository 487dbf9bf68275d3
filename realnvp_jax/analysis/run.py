"""A finished or unfinished run, opened to use its flow."""

import dataclasses
from pathlib import Path

from realnvp_jax.checkpoints import load, newest_or_best_step, other_version, read_config
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.models.create import Config
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.training.setup import load_data

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's flow with the parameters of one step.

    Attributes:
      workdir: the run's directory.
      config: its config.
      flow: the flow.
      params: its parameters.
      step: which step they are from.
      ema: whether they are the moving average.
    """

    workdir: Path
    config: Config
    flow: Flow
    params: Params
    step: int
    ema: bool

    def splits(self) -> Splits:
        """The run's data, as it was trained and evaluated with them.

        Raises:
          ValueError: they are not there any more.
        """
        try:
            splits = load_data(self.config, self.flow)
            num = self.config.evaluate.num_examples
        except (AttributeError, KeyError) as error:
            raise other_version(self.workdir, error) from None
        if not num:
            return splits
        return dataclasses.replace(splits, validation=splits.validation.first(num), test=splits.test.first(num))

    def split(self, name: str) -> Examples:
        """One split of the data.

        Raises:
          ValueError: there is none of this name, or the data are not there any more.
        """
        if name not in SPLITS:
            raise ValueError(f"expected a split, one of {', '.join(SPLITS)}; got {name!r}")
        return getattr(self.splits(), name)


def open_run(workdir: str | Path, step: int | str = "best", data_dir: str = "") -> Run:
    """Open the run in a workdir.

    Args:
      workdir: the run's directory.
      step: "best" by validation (of an unfinished run without one, the newest), "last", or the number of a step with a
        checkpoint.
      data_dir: where the run's data are now, if they have been moved.

    Raises:
      ValueError: there is no run or no usable checkpoint.
    """
    workdir = Path(workdir).expanduser()
    config = read_config(workdir)
    number = newest_or_best_step(workdir, None if step == "best" else step)
    flow, params = load(workdir, step=number)
    if data_dir:
        config.dataset.data_dir = data_dir
    return Run(workdir, config, flow, params, number, bool(config.ema_decay))
