"""From a config to everything that a run needs: a complete config, data and an optimizer."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import optax

from realnvp_jax.data.examples import Splits
from realnvp_jax.data.images.framed import load_classes, load_images
from realnvp_jax.data.named import find_dataset, find_images
from realnvp_jax.data.vectors.loading import VectorOptions, load_vectors
from realnvp_jax.data.vectors.table_files import TableFile
from realnvp_jax.models.create import (
    Config,
    class_names,
    context_columns,
    is_class_conditional,
    is_of_vectors,
)
from realnvp_jax.models.flow import Flow
from realnvp_jax.registry import parameters, part_class
from realnvp_jax.runs.decorations import warn
from realnvp_jax.runs.saved_config import saved_categories, saved_classes, saved_event_shape
from realnvp_jax.text import shorten, split_names
from realnvp_jax.training.optimizer import check_average, clipped, learning_rate_schedule


def load_data(config: Config, flow: Flow | None) -> Splits:
    """The data of a config, checked against its flow; tables also work without one (None).

    Raises:
      ValueError: the data do not exist, or do not fit the config.
    """
    splits = read_data(config, flow)
    check_splits(config, flow, splits)
    return splits


def read_data(config: Config, flow: Flow | None) -> Splits:
    """The data of a config; tables are not yet checked against the config."""
    dataset = config.dataset
    names = {role: dataset[role] for role in ("train", "validation", "test")}
    if is_of_vectors(config):
        min_columns = 2 if config.model.name == "vector_flow" else 1
        options = VectorOptions(
            split_names(dataset.get("columns", "")),  # configs of older runs lack some keys
            split_names(dataset.get("drop", "")),
            context_columns(config),
            dataset.get("discrete", "continuous"),
            dataset.seed,
        )
        return load_vectors(find_dataset(dataset, of_images=False), names, options, min_columns)
    if flow is None:
        raise ValueError(f"expected model.event_shape (height, width, channels) of {dataset.name!r}; got ()")
    return load_images(find_images(dataset), names, flow, class_names(config))


def check_splits(config: Config, flow: Flow | None, splits: Splits) -> None:
    """Raise ValueError unless there are enough examples for a batch, and vectors have the flow's shape."""
    dataset, shape = config.dataset, splits.train.x.shape[1:]
    if is_of_vectors(config) and flow is not None and shape != flow.event_shape:
        raise ValueError(
            f"expected rows of shape {flow.event_shape}, model.event_shape, in {dataset.name!r}; got {shape}"
        )
    if len(splits.train) < config.batch_size:
        raise ValueError(
            f"expected at least batch_size={config.batch_size} examples in dataset.train={dataset.train!r}; "
            f"got {len(splits.train)}: lower batch_size"
        )


def check_disjoint(config: Config, splits: Splits) -> None:
    """Raise ValueError if training examples are in another split; warn if validation and test have some in common."""
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = _num_shared(splits, one, other)
        if not shared:
            continue
        got = f"{shorten(config.dataset[one])} and {shorten(config.dataset[other])}"
        if one == "validation":
            warn(f"dataset.validation and dataset.test have {shared:,} examples in common: the test result flatters")
            continue
        raise ValueError(
            f"expected dataset.{one} and dataset.{other} without common examples; got {got}, which have {shared:,} in "
            "common: choose parts such as 'all[:80%]', 'all[80%:90%]' and 'all[90%:]'"
        )


def _num_shared(splits: Splits, one: str, other: str) -> int:
    """How many examples of one split are also in another."""
    if {one, other} <= set(splits.files):  # a folder is a split, and so are its subfolders
        return len(set(splits.files[one]) & set(splits.files[other]))
    if not {one, other} <= set(splits.parts) or splits.parts[one][0] != splits.parts[other][0]:
        return 0
    first, second = splits.parts[one][1], splits.parts[other][1]
    return max(0, min(first.stop, second.stop) - max(first.start, second.start))


def evaluated(splits: Splits, num_examples: int) -> Splits:
    """The splits with only the first `num_examples` of validation and test; 0 for all."""
    if not num_examples:
        return splits
    first = {name: getattr(splits, name).first(num_examples) for name in ("validation", "test")}
    return dataclasses.replace(splits, **first)


def noise_scale(config: Config, splits: Splits) -> np.ndarray | None:
    """Standard deviations of the noise on training vectors: `dataset.noise` times those of the columns."""
    return config.dataset.noise * splits.train.x.std(axis=0, dtype=np.float64) if config.dataset.noise else None


def completed(config: Config, workdir: Path) -> tuple[Config, Splits | None]:
    """The config completed with shape, levels, classes and categories, from the run in a workdir or else from the data.

    Args:
      config: the config.
      workdir: the run's directory, which need not exist.

    Returns:
      (complete config, the data if they had to be loaded, or else None).

    Raises:
      ValueError: the config of the run is damaged, or the data do not exist or do not fit the config.
    """
    splits = None
    config = with_categories(config, saved_categories(workdir))
    if not config.model.event_shape:
        shape = saved_event_shape(workdir)
        if shape is None:
            splits = load_data(config, None)
            shape = splits.train.x.shape[1:]
        config = with_event_shape(config, shape)
    return with_classes(with_levels(config), saved_classes(workdir)), splits


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
    """The config with the shape of the data as `model.event_shape`."""
    complete: Config = config.copy_and_resolve_references()
    complete.model.event_shape = shape
    return complete


def with_classes(config: Config, saved: tuple[str, ...]) -> Config:
    """The config with the names of the classes, if its density is conditioned on labels.

    Args:
      config: the config; if it already has names in `dataset.classes`, they are kept.
      saved: the classes of the run in the workdir; () if there is no run, to take the classes of the data.

    Raises:
      ValueError: the data do not exist, or have no labels.
    """
    if not is_class_conditional(config) or config.dataset.classes:
        return config
    complete: Config = config.copy_and_resolve_references()
    complete.dataset.classes = saved or load_classes(find_dataset(config.dataset, of_images=True), config.dataset.train)
    return complete


def with_categories(config: Config, saved: tuple[str, ...] | None) -> Config:
    """The config with the categories of a table's context, if there are any.

    Args:
      config: the config; if it already has `dataset.categories`, they are kept.
      saved: the categories of the run in the workdir; None if there is no run, to take the categories of the data.

    Raises:
      ValueError: the data do not exist, or their categories cannot be used.
    """
    if not is_of_vectors(config) or not config.dataset.context or config.dataset.categories:
        return config
    dataset: Any = find_dataset(config.dataset, of_images=False)
    if saved is None:
        saved = dataset.find_categories() if isinstance(dataset, TableFile) else ()
    complete: Config = config.copy_and_resolve_references()
    complete.dataset.categories = saved
    return complete


def make_optimizer(config: Config, flow: Flow) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer for the parameters of a flow, and its learning-rate schedule.

    Raises:
      ValueError: the optimizer is not registered, cannot train the flow, or does not fit the schedule or the average,
        or the schedule has no steps to decay over.
    """
    schedule = learning_rate_schedule(
        config.learning_rate,
        config.schedule.name,
        config.schedule.warmup_steps,
        # a run that is shorter than its warm-up ends during warm-up
        config.schedule.decay_steps or max(config.num_steps, config.schedule.warmup_steps + 1),
    )
    part = part_class("optimizer", config.optimizer.name)
    optimizer = part(**{name: config.optimizer[name] for name in parameters(part) if name in config.optimizer})
    check_average(optimizer, config.ema_decay, config.schedule.name)
    return clipped(optimizer.for_flow(flow), schedule, config.optimizer.clip_norm), schedule
