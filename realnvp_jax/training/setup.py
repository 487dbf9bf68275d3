"""From a config to what a run needs: data and optimizer, after a look at the numbers."""

import jax
import numpy as np
import optax

from realnvp_jax.data.examples import Splits
from realnvp_jax.data.images.framed import load_classes, load_images
from realnvp_jax.data.named import find_dataset, find_images
from realnvp_jax.data.vectors.loading import load_vectors
from realnvp_jax.models import pure
from realnvp_jax.models.create import (
    MODELS,
    Config,
    class_names,
    context_columns,
    is_class_conditional,
    is_of_vectors,
    unused_top_level,
)
from realnvp_jax.models.flow import Flow
from realnvp_jax.registry import parameters, part_class
from realnvp_jax.text import shorten
from realnvp_jax.training.optimizer import clipped, learning_rate_schedule


def load_data(config: Config, flow: Flow | None) -> Splits:
    """The data of a config; images must fit the flow, tables can tell its shape.

    Raises:
      ValueError: the data are not there, or do not fit the config.
    """
    splits = read_data(config, flow)
    check_splits(config, flow, splits)
    return splits


def read_data(config: Config, flow: Flow | None) -> Splits:
    """The data of a config, before it is checked that tables fit it."""
    dataset = config.dataset
    names = {role: dataset[role] for role in ("train", "validation", "test")}
    if is_of_vectors(config):
        min_columns = 2 if config.model.name == "vector_flow" else 1
        return load_vectors(find_dataset(dataset, of_images=False), names, context_columns(config), min_columns)
    if flow is None:
        raise ValueError(f"expected model.event_shape (height, width, channels) of {dataset.name!r}; got ()")
    return load_images(find_images(dataset), names, flow, class_names(config))


def check_splits(config: Config, flow: Flow | None, splits: Splits) -> None:
    """Raise ValueError unless vectors have the flow's shape, and are enough for a batch."""
    if not is_of_vectors(config):
        return
    dataset, shape = config.dataset, splits.train.x.shape[1:]
    if flow is not None and shape != flow.event_shape:
        raise ValueError(
            f"expected rows of shape {flow.event_shape}, model.event_shape, in {dataset.name!r}; got {shape}"
        )
    if len(splits.train) < config.batch_size:
        raise ValueError(
            f"expected at least batch_size={config.batch_size} rows in dataset.train={dataset.train!r}; "
            f"got {len(splits.train)}: lower batch_size"
        )


def noise_deviations(config: Config, splits: Splits) -> np.ndarray | None:
    """Deviations of the noise on training vectors: `dataset.noise` times those of the columns."""
    return config.dataset.noise * splits.train.x.std(axis=0) if config.dataset.noise else None


def with_levels(config: Config) -> Config:
    """The config with the number of levels that `dataset.num_bits` leaves, if it is set.

    Raises:
      ValueError: `model.levels` has been set to another number.
    """
    if not config.dataset.num_bits or is_of_vectors(config):
        return config
    levels = 2**config.dataset.num_bits
    if config.model.levels not in (256, levels):
        raise ValueError(
            f"expected model.levels={levels} with dataset.num_bits={config.dataset.num_bits}; got {config.model.levels}"
        )
    complete: Config = config.copy_and_resolve_references()
    complete.model.levels = levels
    return complete


def with_event_shape(config: Config, shape: tuple[int, ...]) -> Config:
    """The config with the data's shape in it."""
    complete: Config = config.copy_and_resolve_references()
    complete.model.event_shape = shape
    return complete


def with_classes(config: Config, saved: tuple[str, ...]) -> Config:
    """The config with the names of the classes in it, if its density is conditioned on labels.

    Args:
      config: the config; names in its `dataset.classes` stay.
      saved: those of the run in the workdir; () if there is none, for those of the data.

    Raises:
      ValueError: the data have no labels, or they are not there.
    """
    if not is_class_conditional(config) or config.dataset.classes:
        return config
    complete: Config = config.copy_and_resolve_references()
    complete.dataset.classes = saved or load_classes(find_dataset(config.dataset, of_images=True), config.dataset.train)
    return complete


def check_config(config: Config) -> None:
    """Raise ValueError unless the numbers of the training program make sense."""
    if jax.process_count() > 1:
        raise ValueError(f"expected one process with all the devices; got {jax.process_count()} processes")
    at_least_one = {
        "num_steps": config.num_steps,
        "checkpoint.every": config.checkpoint.every,
        "checkpoint.keep": config.checkpoint.keep,
        "evaluate.every": config.evaluate.every,
        "evaluate.batch_size": config.evaluate.batch_size,
        "evaluate.num_samples": config.evaluate.num_samples,
        "evaluate.log_every": config.evaluate.log_every,
        "steps_per_dispatch": config.steps_per_dispatch,
    }
    for key, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"expected {key} of at least 1; got {value}")
    if not is_of_vectors(config) and config.dataset.context not in ("", "label"):
        raise ValueError(
            f"expected dataset.context to be 'label' or empty for images; got {shorten(config.dataset.context)}: "
            "columns are for tables"
        )
    if config.dataset.classes and not is_class_conditional(config):
        raise ValueError(
            f"expected dataset.classes to be () unless images have dataset.context='label'; "
            f"got {shorten(config.dataset.classes)}"
        )
    if config.profile < 0:
        raise ValueError(f"expected profile of at least 0 steps; got {config.profile}")
    unused = unused_top_level(config) if config.model.name in MODELS else []
    if unused:
        raise ValueError(
            f"expected memory, dtype and unroll as they are by default for the {config.model.name}, which "
            f"does not read them all; got {unused[0]}"
        )
    if is_of_vectors(config) and (config.dataset.num_bits or config.dataset.crop != "none"):
        raise ValueError(
            f"expected dataset.num_bits=0 and dataset.crop='none', which are for images, for the {config.model.name}; "
            f"got {config.dataset.num_bits} and {config.dataset.crop!r}"
        )
    if config.dataset.noise < 0 or (config.dataset.noise and not is_of_vectors(config)):
        raise ValueError(f"expected dataset.noise of at least 0, and 0 for images; got {config.dataset.noise}")
    if config.init_examples < 0:
        raise ValueError(f"expected init_examples of at least 0; got {config.init_examples}")
    if config.evaluate.num_examples < 0:
        raise ValueError(f"expected evaluate.num_examples of at least 0; got {config.evaluate.num_examples}")
    if not 0 <= config.ema_decay < 1:
        raise ValueError(f"expected ema_decay in [0, 1); got {config.ema_decay}")


def check_penalty(config: Config, flow: Flow) -> None:
    """Raise ValueError for an L2 penalty on a flow none of whose parts has a parameter that it penalizes."""
    if config.optimizer.l2 and not pure.penalized(flow):
        raise ValueError(
            f"expected optimizer.l2 of 0, since no part of the {config.model.name} has a parameter that it penalizes; "
            f"got {config.optimizer.l2}"
        )


def make_optimizer(config: Config) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer and its learning-rate schedule."""
    schedule = learning_rate_schedule(
        config.learning_rate,
        config.schedule.name,
        config.schedule.warmup_steps,
        config.schedule.decay_steps or config.num_steps,
    )
    part = part_class("optimizer", config.optimizer.name)
    optimizer = part(**{name: config.optimizer[name] for name in parameters(part) if name in config.optimizer})
    return clipped(optimizer, schedule, config.optimizer.clip_norm), schedule
