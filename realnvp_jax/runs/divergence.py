"""The error of a run whose loss or parameters are not finite: why, which checkpoint is left, and what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.data.batches import batch_indices
from realnvp_jax.models.flow import Params
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.decorations import attempt
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.text import shorten
from realnvp_jax.training.non_finite import reason
from realnvp_jax.training.state import TrainState
from realnvp_jax.training.steps import NonFiniteLossError


def divergence(
    what: str,
    step: int,
    batch_number: int,
    experiment: Experiment,
    checkpoints: Checkpoints,
    state_params: Params,
    initial: Callable[[], TrainState],
) -> NonFiniteLossError:
    """The error to raise. The current parameters, and the batch, are written into the folder `diverged` of the workdir.

    Args:
      what: what is not finite.
      step: the number of the update.
      batch_number: the number of its batch, from 0, which is looked at.
      experiment: the run.
      checkpoints: its checkpoints, all of which hold finite parameters.
      state_params: the current parameters, which may not be finite.
      initial: makes the state before the first update.
    """
    checkpoints.wait()
    steps, config, train = checkpoints.steps(), experiment.config, experiment.splits.train
    if steps:
        params, which = checkpoints.restore_item(steps[0], "params", state_params), f"the parameters of step {steps[0]}"
        last = f"the last good checkpoint is step {steps[0]}"
    else:
        params, which, last = initial().params, "the initial parameters", "there is no checkpoint yet"
    batch = train.batch(batch_indices(config.seed, batch_number, config.batch_size, len(train)))
    folder = experiment.files.path / "diverged"
    is_written = attempt(folder, _write, folder, step, state_params, batch)
    where = ", whose folder diverged has the parameters and the batch" if is_written else ""
    batch = {name: jnp.asarray(values) for name, values in batch.items()}
    advice = "in a new --workdir, try a lower learning_rate, more schedule.warmup_steps, or a lower optimizer.clip_norm"
    why = reason(experiment.flow, params, batch, state_params, which, advice)
    return NonFiniteLossError(f"{what}: {why} ({last} in {shorten(experiment.files.path, 60)}{where})")


def _write(folder: Path, step: int, params: Params, batch: dict[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    arrays = {"params/" + "/".join(str(key.key) for key in path): np.asarray(leaf) for path, leaf in leaves}
    np.savez(folder / f"step_{step:08d}.npz", **arrays, **{f"batch/{name}": value for name, value in batch.items()})
