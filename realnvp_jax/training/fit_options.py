"""The options of `fit`: the number of updates, how often to validate, and the optimizer."""

import functools
import math
from typing import Any

import jax
import optax

from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.registry import make_parts
from realnvp_jax.text import describe_error
from realnvp_jax.training.fit_data import FitData
from realnvp_jax.training.optimizer import Optimizer, check_average, clipped, learning_rate_schedule
from realnvp_jax.training.state import optimizer_average

_VALIDATE_EVERY = (50, 500)  # the fewest and the most updates between validations, unless the user says otherwise


def number_of_steps(num_steps: int | None, num_epochs: int | None, data: FitData, batch_size: int) -> int:
    """The number of updates."""
    if num_steps is not None and num_epochs is None:
        arguments.at_least(1, num_steps=num_steps)
        return num_steps
    if num_epochs is None or num_steps is not None:
        raise ValueError(
            f"expected either num_steps or num_epochs; got num_steps={num_steps} and num_epochs={num_epochs}"
        )
    arguments.at_least(1, num_epochs=num_epochs)
    if data.num_examples is None:
        raise ValueError(f"expected num_steps with a simulator, which has no epochs; got num_epochs={num_epochs}")
    return math.ceil(num_epochs * data.num_examples / batch_size)


def validation_interval(validate_every: int | None, patience: int | None, data: FitData, batch_size: int) -> int:
    """Updates between validations."""
    if data.validation is None and (validate_every is not None or patience is not None):
        raise ValueError(
            f"expected validation for validate_every and patience; got none with validate_every={validate_every} and "
            f"patience={patience}: pass validation=0.1 to hold out a tenth of x"
        )
    if patience is not None:
        arguments.at_least(1, patience=patience)
    fewest, most = _VALIDATE_EVERY
    if validate_every is None:
        return most if data.num_examples is None else min(max(data.num_examples // batch_size, fewest), most)
    arguments.at_least(1, validate_every=validate_every)
    return validate_every


def transformation(
    flow: Flow, optimizer: Any, learning_rate: Any, schedule: Any, clip_norm: float, num_steps: int, params: Params
) -> optax.GradientTransformation:
    """Clipping and the optimizer."""
    if isinstance(optimizer, optax.GradientTransformation):
        given = {"learning_rate": learning_rate, "schedule": schedule}
        without_effect = [f"{name}={value!r}" for name, value in given.items() if value is not None]
        if without_effect:
            raise ValueError(
                f"expected no {without_effect[0].partition('=')[0]} beside a transformation of optax, which has "
                f"its own; got {' and '.join(without_effect)}: build it into the transformation"
            )
        update = _clipped(optimizer, clip_norm)
    else:
        part = make_parts({"optimizer": ("optimizer", optimizer, Optimizer)}, {})["optimizer"]
        rate = 1e-3 if learning_rate is None else arguments.number("learning_rate", learning_rate)
        if rate <= 0:
            raise ValueError(f"expected learning_rate above 0; got {rate:g}")
        check_average(part, 0.0, schedule or "constant")
        name = "constant" if schedule is None else schedule
        update = _clipped(part.for_flow(flow), clip_norm, rate, name, 0 if name == "constant" else num_steps)
    trainable = params["params"]
    try:
        with jax.numpy_dtype_promotion("standard"):  # as in a training step
            state = jax.eval_shape(lambda tree: update.update(tree, update.init(tree), tree)[1], trainable)
            jax.eval_shape(lambda state, tree: optimizer_average(state, {"params": tree}), state, trainable)
    except TypeError as error:
        raise TypeError(
            "expected an optimizer that needs gradients and parameters and nothing else; got one that fails with "
            f"{describe_error(error)}"
        ) from error
    return update


def _clipped(optimizer: Any, *options: Any) -> optax.GradientTransformation:
    """Clipping and the optimizer: the same object for equal options, so that `fit` can reuse its compiled step."""
    attributes = tuple(vars(optimizer).items()) if isinstance(optimizer, Optimizer) else ()  # all, not fields alone
    try:
        return _clipped_once(attributes, optimizer, *options)
    except TypeError:  # an attribute cannot be hashed
        return _make_clipped(optimizer, *options)


def _make_clipped(
    optimizer: Any, clip_norm: float, learning_rate: float | None = None, schedule: str = "", decay_steps: int = 0
) -> optax.GradientTransformation:
    if learning_rate is None:  # a transformation of optax, which has its own
        return clipped(optimizer, None, clip_norm)
    return clipped(optimizer, learning_rate_schedule(learning_rate, schedule, decay_steps=decay_steps), clip_norm)


@functools.lru_cache(maxsize=8)
def _clipped_once(attributes: Any, *options: Any) -> optax.GradientTransformation:
    del attributes
    return _make_clipped(*options)
