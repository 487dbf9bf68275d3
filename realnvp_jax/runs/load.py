"""`load`: the flow and the parameters of a run, or those in a folder that `save` made."""

import operator
from pathlib import Path
from typing import Any

import jax

import realnvp_jax
from realnvp_jax.models.create import Config, check_version, create
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.singular import check_invertible
from realnvp_jax.random import root_key
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints, CorruptCheckpointError, open_checkpoints
from realnvp_jax.runs.hub import download, is_on_hub
from realnvp_jax.runs.saved_config import read_config
from realnvp_jax.runs.saved_flow import is_saved_flow, load_saved
from realnvp_jax.text import describe_error, shorten


def load(workdir: str | Path, step: int | str | None = None, ema: bool | None = None) -> tuple[Flow, dict[str, Any]]:
    """Load the flow and the parameters of a run, or those in a folder that `save` or `realnvp publish` made.

    Args:
      workdir: the run's directory, or the folder; for a folder, step and ema must be None. "hf://owner/name", or
        "hf://owner/name@revision", is a published folder on the Hugging Face Hub, which is downloaded once.
      step: a step with a checkpoint, "best" for the best by validation, or "last" for the newest. None is the step that
        result.json was computed with, the best (for an unfinished run, the best so far, or else the newest).
      ema: whether to load the average of the parameters, the moving average or that of an optimizer such as
        schedule_free; None to load it if the run has one.

    Returns:
      (flow, params).

    Raises:
      ValueError: there is no run, no such checkpoint or no average; the Hub has no such folder, or cannot be reached; a
        checkpoint or a file of a saved flow is damaged; a matrix of the flow is singular; or a saved flow has a part
        that is not registered.
    """
    on_hub = is_on_hub(workdir)
    path = Path(workdir).expanduser()
    if on_hub or is_saved_flow(path):
        if step is not None or ema is not None:
            raise ValueError(
                f"expected no step and no ema for a flow that save saved, which has one set of parameters; got "
                f"step={step!r} and ema={ema!r}"
            )
        return load_saved(download(str(workdir)) if on_hub else path)
    return load_run(path, step, ema)[:2]


def load_run(workdir: Path, step: int | str | None, ema: bool | None) -> tuple[Flow, dict[str, Any], bool]:
    """The flow of a run, its parameters, and whether they are an average; the arguments are those of `load`."""
    flow = create_flow(read_config(workdir), workdir)
    with open_checkpoints(workdir) as checkpoints:
        target = jax.eval_shape(flow.init, root_key(0))
        number = _choose_step(checkpoints, step)
        try:
            has_average = checkpoints.has_average(number)
            if ema and not has_average:
                raise ValueError(
                    "expected a run with ema_decay > 0 or an optimizer that averages for ema=True; "
                    f"{workdir} has no average"
                )
            use_average = has_average if ema is None else ema
            params = checkpoints.restore_item(number, "ema" if use_average else "params", target)
        except CorruptCheckpointError as error:
            made_by = _version_of(workdir)
            if made_by == f"version {realnvp_jax.__version__}":
                raise
            raise CorruptCheckpointError(f"{error} (the run was made by {made_by})") from None
    check_invertible(flow, params, f"load another step than {number} of {shorten(workdir, 80)}")
    return flow, params, use_average


def create_flow(config: Config, workdir: Path) -> Flow:
    """The flow of a run's config.

    Raises:
      ValueError: the run was made by a version with other keys or other parameters.
    """
    check_version(config, shorten(workdir, 100))
    try:
        return create(config)
    except (AttributeError, KeyError) as error:
        raise other_version(workdir, error) from None


def other_version(workdir: Path, error: Exception) -> ValueError:
    """The error to raise for a config that lacks keys of this version."""
    return ValueError(
        f"expected the config keys of version {realnvp_jax.__version__} in {shorten(workdir, 100)}; "
        f"got {describe_error(error)}: the run was made by {_version_of(workdir)}"
    )


def newest_or_best_step(workdir: Path, step: int | str | None = None) -> int:
    """The number of the step that `load` takes for "best", "last", None or a number.

    Raises:
      ValueError: there is no such checkpoint.
    """
    with open_checkpoints(workdir) as checkpoints:
        number = _choose_step(checkpoints, step)
        if number not in checkpoints.steps():
            raise ValueError(f"expected one of the steps {checkpoints.steps()} in {workdir}; got {number}")
        return number


def _version_of(workdir: Path) -> str:
    """Which version of this package wrote the newest checkpoint."""
    try:
        with open_checkpoints(workdir) as checkpoints:
            return f"version {checkpoints.meta(checkpoints.steps()[0])['version']}"
    except Exception:  # there is no checkpoint, it is damaged, or it has no version
        return "an older version"


def _choose_step(checkpoints: Checkpoints, step: int | str | None) -> int:
    steps = checkpoints.steps()
    if not steps:
        raise ValueError(f"expected a checkpoint in {checkpoints.directory}; got none yet: let the run save one first")
    if step is not None and not isinstance(step, str):
        return operator.index(step)
    if step not in (None, "best", "last"):
        raise ValueError(f"expected step to be a number, 'best' or 'last'; got {step!r}")
    try:
        best = Best(**checkpoints.meta(steps[0])["best"]).step
    except Exception as error:  # as in `restore`
        raise CorruptCheckpointError(
            f"expected a complete checkpoint {steps[0]} in {checkpoints.directory}; reading it failed "
            f"({describe_error(error)}): choose another with step=, of {steps}"
        ) from error
    if step == "last" or (step is None and best is None):
        return steps[0]
    if best is None:
        raise ValueError(f"expected a validation result in {checkpoints.directory} for step='best'; got none yet")
    if best not in steps:
        raise ValueError(
            f"expected the checkpoint of the best step {best} in {checkpoints.directory}; got {steps} only: "
            "start the run again, which finds the best of these, or choose one with step="
        )
    return best
