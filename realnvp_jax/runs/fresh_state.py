"""The state of a run before its first step."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from realnvp_jax.data.batches import batch_indices
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.training.augmentation import augment
from realnvp_jax.training.state import TrainState, create_state


def state_shapes(experiment: Experiment) -> Any:
    """The shapes and dtypes of the state, which are those of every step."""
    initial = functools.partial(create_state, experiment.flow, optimizer=experiment.optimizer)
    return jax.eval_shape(functools.partial(initial, ema_decay=experiment.config.ema_decay), experiment.keys()[0])


def fresh_state(experiment: Experiment) -> TrainState:
    """The state before the first step."""
    first = _first_examples(experiment)
    return jax.jit(create_state, static_argnums=(0, 2, 3))(
        experiment.flow,
        experiment.keys()[0],
        experiment.optimizer,
        experiment.config.ema_decay,
        first["x"],
        first.get("context"),
    )


def _first_examples(experiment: Experiment) -> dict[str, Any]:
    """The examples for layers that are initialized from data: the first batch, augmented as in training, or more.

    Rows of tables come without `dataset.noise`, as in evaluation.
    """
    config, examples, shape = experiment.config, experiment.splits.train, experiment.flow.event_shape
    num = min(config.init_examples or config.batch_size, len(examples))
    batch = examples.batch(batch_indices(config.seed, 0, num, len(examples)))
    key = jax.random.fold_in(experiment.keys()[1], 0)
    flip, shift = config.dataset.flip, config.dataset.shift
    x = augment(key, jnp.arange(num), jnp.asarray(batch["x"]), flip=flip, shift_pixels=shift, shape=shape)
    return {**batch, "x": x}
