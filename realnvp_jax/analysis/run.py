"""A finished or unfinished run, opened to use its flow."""

import dataclasses
import functools
from pathlib import Path

from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.fingerprint import Fingerprint
from realnvp_jax.data.named import find_dataset
from realnvp_jax.data.vectors.columns import numbered
from realnvp_jax.data.vectors.discrete import Grid
from realnvp_jax.models.create import Config, context_columns, is_of_vectors
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.runs.load import load_run, newest_or_best_step, other_version
from realnvp_jax.runs.result import picture_title, read_result
from realnvp_jax.runs.run_data import RunData
from realnvp_jax.runs.saved_config import read_config
from realnvp_jax.runs.setup import evaluated

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run's flow with the parameters of one step.

    Attributes:
      workdir: the run's directory.
      config: its config.
      flow: the flow.
      params: its parameters.
      step: the step that the parameters are from.
      ema: whether the parameters are an average.
      allow_changed_data: whether to use data that have changed since the run was started; the differences are printed.
    """

    workdir: Path
    config: Config
    flow: Flow
    params: Params
    step: int
    ema: bool
    allow_changed_data: bool = False

    @functools.cached_property
    def _data(self) -> RunData:
        advice = "give their present place with --data-dir, or use these with --allow-changed-data"
        return RunData(self.workdir, self.allow_changed_data, advice)

    @property
    def title(self) -> str:
        """The title of a picture of the run: its name, the step, and the test result if it belongs to that step."""
        path = self.workdir / "result.json"
        try:
            result = read_result(path) if path.is_file() else None
        except ValueError:  # damaged: a picture can do without the result
            result = None
        return picture_title(self.workdir, self.step, result)

    @property
    def fingerprint(self) -> Fingerprint | None:
        """What identifies the data that the run was started with, with their hashes; None if unknown."""
        return self._data.fingerprint

    def columns(self) -> tuple[str, ...]:
        """Names of all columns of the run's table in its order, including those of the context; () if unknown.

        The workdir holds them; for a run from before version 0.3 they are read from its data, if these still exist.
        """
        if self.fingerprint is not None:
            return self.fingerprint.columns
        try:
            return self._splits.all_columns
        except ValueError:
            return ()

    def modelled_columns(self) -> tuple[str, ...]:
        """Names of the columns of vectors, without those of the context; numbers if the names are not known."""
        context = context_columns(self.config)
        names = tuple(column for column in self.columns() if column not in context)
        return names or numbered(self.flow.num_dims)

    def unused_columns(self) -> tuple[str, ...]:
        """Names of the columns of the run's table that the run left out."""
        return self.fingerprint.unused if self.fingerprint is not None else ()

    def grids(self) -> dict[str, Grid]:
        """The grids of the discrete columns that the run dequantizes, by name."""
        saved = self.fingerprint.grids if self.fingerprint is not None else {}
        return {column: Grid(*grid) for column, grid in saved.items()}

    def splits(self) -> Splits:
        """The data that the run was trained and evaluated with.

        Raises:
          ValueError: the data no longer exist, or have changed.
        """
        return self._splits

    @functools.cached_property
    def _splits(self) -> Splits:
        try:
            return evaluated(self._data.load(self.config, self.flow), self.config.evaluate.num_examples)
        except (AttributeError, KeyError) as error:
            raise other_version(self.workdir, error) from None

    def split(self, name: str) -> Examples:
        """One split of the data.

        Raises:
          ValueError: there is no such split, or the data no longer exist.
        """
        if name not in SPLITS:
            raise ValueError(f"expected a split, one of {', '.join(SPLITS)}; got {name!r}")
        return getattr(self.splits(), name)


def moved_path(path: str, place: Path) -> Path:
    """Where a file or folder is now: in the directory `place`, or there itself."""
    inside = place / Path(path).name
    return inside if inside.is_file() or (inside.is_dir() and place.name != inside.name) else place


def open_run(
    workdir: str | Path, step: int | str = "best", data_dir: str = "", allow_changed_data: bool = False
) -> Run:
    """Open the run in a workdir.

    Args:
      workdir: the run's directory.
      step: "best" by validation (the newest for an unfinished run that has no validation result yet), "last", or the
        number of a step with a checkpoint.
      data_dir: where the run's data are now, if they have been moved: the new dataset.data_dir, or the new place of
        dataset.path: the file or folder itself, or the directory that contains it.
      allow_changed_data: see `Run`.

    Raises:
      ValueError: there is no run or no usable checkpoint.
    """
    workdir = Path(workdir).expanduser()
    config = read_config(workdir)
    number = newest_or_best_step(workdir, None if step == "best" else step)
    flow, params, is_average = load_run(workdir, number, None)
    if data_dir:
        place, dataset = Path(data_dir).expanduser().absolute(), config.dataset
        if hasattr(find_dataset(dataset, of_images=not is_of_vectors(config)), "path"):
            dataset.path = str(moved_path(dataset.path, place))
        else:
            dataset.data_dir = str(place)
    return Run(workdir, config, flow, params, number, is_average, allow_changed_data)
