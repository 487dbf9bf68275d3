"""The parameters of the best step, or of the best remaining step if its checkpoint is lost."""

import dataclasses
import math
from collections.abc import Callable

from realnvp_jax.models.flow import Params
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.decorations import warn
from realnvp_jax.text import describe_error, shorten
from realnvp_jax.training.state import TrainState, evaluation_params


def restore_best(
    checkpoints: Checkpoints,
    best: Best,
    state: TrainState,
    validation_cost: Callable[[Params], float],
    validation_set: str,
) -> tuple[Params, Best]:
    """Restore the parameters of the best step.

    If its checkpoint is lost, it is moved aside, all other checkpoints are evaluated again, and the best of them is
    recorded in the newest checkpoint. A message on stderr says what was lost and what is left. If its result is that of
    other validation examples, it is evaluated again, so that it can be compared with the results to come.

    Args:
      checkpoints: the checkpoints of the run.
      best: the best step so far, after at least one evaluation.
      state: the current state, which has a checkpoint.
      validation_cost: evaluates parameters; smaller is better.
      validation_set: the hash of the present validation examples.

    Returns:
      (parameters, the best remaining step).

    Raises:
      ValueError: no checkpoint with a finite validation result is left.
    """
    checkpoints.wait()
    assert best.step is not None

    def restore(step: int) -> Params:
        return checkpoints.restore_item(step, "ema" if state.ema else "params", state.params)

    try:
        params = restore(best.step)
    except ValueError as error:
        warn(f"the checkpoint of the best step {best.step} is lost ({describe_error(error)})")
    else:
        if best.validation_set != validation_set:
            warn(f"the validation examples have changed: the best step {best.step} is evaluated again")
            found = validation_cost(params)
            best = best.measured_again(found if math.isfinite(found) else math.inf, validation_set)
            checkpoints.note_best(int(state.step), best)
        return params, best
    if best.step in checkpoints.steps():
        checkpoints.put_aside([best.step])
    if best.step == int(state.step):  # its parameters are still in memory
        checkpoints.save(state, best)
        return evaluation_params(state), best
    left = checkpoints.steps()
    evaluated, best_params = best.evaluated, None
    best = dataclasses.replace(best.lost(), validation_set=validation_set)
    for step in reversed(left):
        try:
            params = restore(step)
        except ValueError as error:
            warn(f"checkpoint {step} cannot be used ({describe_error(error)})")
            continue
        best = best.after(step, validation_cost(params))
        if best.step == step:
            best_params = params
    if best_params is None:
        raise ValueError(
            f"expected a usable checkpoint in {shorten(checkpoints.directory, 150)}; got none with a finite "
            "validation result: start again in a new workdir"
        )
    best = dataclasses.replace(best, evaluated=evaluated)  # the evaluations of a run go on where they were
    warn(f"the best remaining step is {best.step} of {left}")
    checkpoints.note_best(int(state.step), best)
    return best_params, best
