"""The error of a run whose loss or parameters are not finite: why, which checkpoint is left, and what to do."""

import jax.numpy as jnp

from realnvp_jax.data.batches import batch_indices
from realnvp_jax.models.flow import Params
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.text import shorten
from realnvp_jax.training.non_finite import reason
from realnvp_jax.training.steps import NonFiniteLossError


def divergence(
    what: str, step: int, experiment: Experiment, checkpoints: Checkpoints, state_params: Params, initial: Params
) -> NonFiniteLossError:
    """The error to raise.

    Args:
      what: what is not finite.
      step: the number of the update, whose batch is looked at.
      experiment: the run.
      checkpoints: its checkpoints, all of which hold finite parameters.
      state_params: the current parameters, which may not be finite.
      initial: the parameters before the first update.
    """
    checkpoints.wait()
    steps, config, train = checkpoints.steps(), experiment.config, experiment.splits.train
    if steps:
        params, which = checkpoints.restore_item(steps[0], "params", state_params), f"the parameters of step {steps[0]}"
        last = f"the last good checkpoint is step {steps[0]}"
    else:
        params, which, last = initial, "the initial parameters", "there is no checkpoint yet"
    batch = train.batch(batch_indices(config.seed, step - 1, config.batch_size, len(train)))
    batch = {name: jnp.asarray(values) for name, values in batch.items()}
    advice = "in a new --workdir, try a lower learning_rate, more schedule.warmup_steps, or a lower optimizer.clip_norm"
    why = reason(experiment.flow, params, batch, state_params, which, advice)
    return NonFiniteLossError(f"{what}: {why} ({last} in {shorten(experiment.files.path, 60)})")
