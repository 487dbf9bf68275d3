"""The range of every key of a config, and which keys exclude each other, checked before anything is read or written."""

import math

from realnvp_jax.bijections.stack import MEMORY
from realnvp_jax.models import pure
from realnvp_jax.models.create import (
    MODELS,
    Config,
    is_class_conditional,
    is_of_vectors,
    model_keys,
    part_fields,
    unknown_model,
    unused_top_level,
)
from realnvp_jax.models.declared import penalized
from realnvp_jax.models.flow import Flow
from realnvp_jax.registry import check_value, config_fields, parameter
from realnvp_jax.runs.saved_config import flatten
from realnvp_jax.text import shorten
from realnvp_jax.training.optimizer import SCHEDULES

_SEED = parameter(0, "", at_least=0, at_most=2**32 - 1)
_COUNT = parameter(1, "", at_least=1, at_most=2**31 - 1)
_OPTIONAL_COUNT = parameter(0, "", at_least=0, at_most=2**31 - 1)
_LAYERS = parameter(1, "", at_least=1, at_most=10_000)
_MOST_PARAMETERS = 10**10  # 40 GB
_LONGEST = 100_000  # characters of a text; dataset.columns may name many columns
_RANGES = {
    "seed": _SEED,
    "num_steps": _COUNT,
    "batch_size": _COUNT,
    "accumulate": _COUNT,
    "learning_rate": parameter(0.0, "", at_least=0, at_most=1e4),
    "init_examples": _OPTIONAL_COUNT,
    "ema_decay": parameter(0.0, "", at_least=0, below=1),
    "memory": parameter("store", "", choices=MEMORY),
    "dtype": parameter("float32", "", choices=("float32", "bfloat16")),
    "on_nonfinite": parameter("stop", "", choices=("stop", "skip", "rewind")),
    "patience": _OPTIONAL_COUNT,
    "max_hours": parameter(0.0, "", at_least=0, at_most=1e5),
    "steps_per_dispatch": parameter(1, "", at_least=1, at_most=10_000),
    "profile": parameter(0, "", at_least=0, at_most=10_000),
    "dataset.resize": parameter(0, "", at_least=0, at_most=10_000),
    "dataset.num_bits": parameter(0, "", at_least=0, at_most=8),
    "dataset.num_train": parameter(1, "", at_least=1, at_most=10**7),
    "dataset.seed": _SEED,
    "dataset.shift": _OPTIONAL_COUNT,
    "dataset.noise": parameter(0.0, "", at_least=0, at_most=100),
    "model.mask_seed": _SEED,
    "model.num_layers": _LAYERS,
    "model.num_components": _LAYERS,
    "model.kernel_size": parameter(1, "", at_least=1, at_most=1001),
    "model.levels": parameter(2, "", at_least=2, at_most=2**16),
    "model.num_scales": parameter(1, "", at_least=1, at_most=16),
    "model.num_steps": _LAYERS,
    "model.alpha": parameter(0.0, "", at_least=0, below=0.5),
    "optimizer.clip_norm": parameter(0.0, "", at_least=0),
    "optimizer.l2": parameter(0.0, "", at_least=0, at_most=1e6),
    "schedule.name": parameter("constant", "", choices=SCHEDULES),
    "schedule.warmup_steps": _OPTIONAL_COUNT,
    "schedule.decay_steps": _OPTIONAL_COUNT,
    "checkpoint.every": _COUNT,
    "checkpoint.keep": _COUNT,
    "evaluate.every": _COUNT,
    "evaluate.num_examples": _OPTIONAL_COUNT,
    "evaluate.batch_size": _COUNT,
    "evaluate.num_importance_samples": parameter(1, "", at_least=1, at_most=10_000),
    "evaluate.num_samples": parameter(1, "", at_least=1, at_most=100_000),
    "evaluate.log_every": _COUNT,
}  # parts declare the ranges of their own parameters


def check_config(config: Config) -> None:
    """Raise ValueError unless the values of the config are in range and fit together."""
    flat = flatten(config)
    for key, field in _RANGES.items():
        check_value(key, flat[key], field)
    if config.model.name not in MODELS:
        raise ValueError(unknown_model(config.model.name))
    of_parts = {**part_fields(), **config_fields("optimizer", ("optimizer",))}
    for key, field in of_parts.items():  # also those that this run does not use; a part checks its own again
        if flat.get(key, "") != "" and key.removeprefix("model.") not in model_keys(config.model):
            check_value(key, tuple(flat[key]) if isinstance(flat[key], list) else flat[key], field)
    _check_texts_and_tuples(config)
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
    unused = unused_top_level(config)
    if unused:
        raise ValueError(
            f"expected the default {unused[0].partition('=')[0]} for the {config.model.name}, which does not use it; "
            f"got {unused[0]}: remove it"
        )
    if is_of_vectors(config) and (config.dataset.num_bits or config.dataset.crop != "none"):
        raise ValueError(
            f"expected dataset.num_bits=0 and dataset.crop='none', which are for images, for the {config.model.name}; "
            f"got {config.dataset.num_bits} and {shorten(config.dataset.crop)}"
        )
    sides = config.model.event_shape[:-1]
    if config.dataset.shift and is_of_vectors(config):
        raise ValueError(
            f"expected dataset.shift of 0 for the {config.model.name}, since it moves the pixels of images; "
            f"got {config.dataset.shift}"
        )
    if config.dataset.shift and len(sides) == 2 and config.dataset.shift >= min(sides):
        raise ValueError(
            f"expected dataset.shift, in pixels, below the smaller side of images of {sides[0]} x {sides[1]}; "
            f"got {config.dataset.shift}"
        )
    if config.dataset.noise and not is_of_vectors(config):
        raise ValueError(f"expected dataset.noise of 0 for images; got {config.dataset.noise}")
    if config.evaluate.num_importance_samples > 1 and is_of_vectors(config):
        raise ValueError(
            f"expected evaluate.num_importance_samples of 1 for the {config.model.name}, whose densities are exact; "
            f"got {config.evaluate.num_importance_samples}"
        )
    keys_of_tables = {"columns": "", "drop": "", "missing": "refuse", "discrete": "refuse", "categories": ()}
    for key, value in keys_of_tables.items():
        if not is_of_vectors(config) and config.dataset[key] != value:
            raise ValueError(
                f"expected dataset.{key}={value!r} for the {config.model.name}, since the key is for tables; "
                f"got {shorten(config.dataset[key])}"
            )


def _check_texts_and_tuples(config: Config) -> None:
    """Raise ValueError for a text or a tuple that is too long, or a tuple of values of another type."""
    for key, value in flatten(config).items():
        if isinstance(value, str | list) and len(value) > _LONGEST:
            raise ValueError(f"expected {key} of at most {_LONGEST:,} characters or entries; got {len(value):,}")
    for key in ("name", "path", "data_dir", "manual_dir", "cache_dir", "train", "validation", "test"):
        value = config.dataset[key]
        if "\0" in value or any(len(part.encode("utf-8", "surrogatepass")) > 255 for part in value.split("/")):
            raise ValueError(
                f"expected dataset.{key} that a file system can hold, with names of at most 255 bytes and no NUL; "
                f"got {shorten(value)}"
            )
    for key in ("dataset.classes", "dataset.categories"):
        names = flatten(config)[key]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"expected a tuple of texts as {key}, such as ('a', 'b'); got {shorten(names)}")
    shape = config.model.event_shape
    if not all(type(size) is int and size >= 1 for size in shape) or math.prod(shape) > 10**7 or len(shape) > 3:
        raise ValueError(
            "expected model.event_shape (height, width, channels) or (columns,), of sizes from 1 to 10,000,000 in all; "
            f"got {shorten(shape)}"
        )
    hidden = config.model.hidden
    if len(hidden) > 1000 or not all(type(width) is int and 1 <= width <= 2**14 for width in hidden):
        raise ValueError(
            f"expected model.hidden to be at most 1,000 widths from 1 to {2**14:,}, such as (128, 128); "
            f"got {shorten(hidden)}"
        )


def check_size(config: Config, flow: Flow) -> None:
    """Raise ValueError for a flow with too many parameters for the memory of any device."""
    count = pure.count_parameters(flow)
    if count > _MOST_PARAMETERS:
        raise ValueError(
            f"expected a {config.model.name} of at most {_MOST_PARAMETERS:.0e} parameters; got {count:.1e}: "
            "use fewer or narrower layers"
        )


def check_penalty(config: Config, flow: Flow) -> None:
    """Raise ValueError for an L2 penalty on a flow without any parameter that it penalizes."""
    if config.optimizer.l2 and not penalized(flow):
        raise ValueError(
            f"expected optimizer.l2 of 0, since no part of the {config.model.name} has a parameter that it penalizes; "
            f"got {config.optimizer.l2}"
        )
