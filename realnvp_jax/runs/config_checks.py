"""Checks of the numbers in a config, before anything is read or written."""

import jax

from realnvp_jax.bijections.stack import MEMORY
from realnvp_jax.models import pure
from realnvp_jax.models.create import (
    MODELS,
    Config,
    is_class_conditional,
    is_of_vectors,
    unknown_model,
    unused_top_level,
)
from realnvp_jax.models.flow import Flow
from realnvp_jax.registry import check_value, parameter
from realnvp_jax.runs.saved_config import flatten
from realnvp_jax.text import shorten
from realnvp_jax.training.optimizer import SCHEDULES

_SEED = parameter(0, "", at_least=0, at_most=2**32 - 1)
_COUNT = parameter(1, "", at_least=1, at_most=2**31 - 1)
_OPTIONAL_COUNT = parameter(0, "", at_least=0, at_most=2**31 - 1)
_WEIGHT = parameter(0.0, "", at_least=0)
_RANGES = {
    "seed": _SEED,
    "num_steps": _COUNT,
    "batch_size": _COUNT,
    "learning_rate": parameter(0.0, "", at_least=0, at_most=1e30),
    "init_examples": _OPTIONAL_COUNT,
    "ema_decay": parameter(0.0, "", at_least=0, below=1),
    "memory": parameter("store", "", choices=MEMORY),
    "dtype": parameter("float32", "", choices=("float32", "bfloat16")),
    "steps_per_dispatch": _COUNT,
    "profile": _OPTIONAL_COUNT,
    "dataset.resize": _OPTIONAL_COUNT,
    "dataset.num_bits": parameter(0, "", at_least=0, at_most=8),
    "dataset.num_train": _COUNT,
    "dataset.seed": _SEED,
    "dataset.noise": _WEIGHT,
    "optimizer.clip_norm": _WEIGHT,
    "optimizer.l2": _WEIGHT,
    "schedule.name": parameter("constant", "", choices=SCHEDULES),
    "schedule.warmup_steps": _OPTIONAL_COUNT,
    "schedule.decay_steps": _OPTIONAL_COUNT,
    "checkpoint.every": _COUNT,
    "checkpoint.keep": _COUNT,
    "evaluate.every": _COUNT,
    "evaluate.num_examples": _OPTIONAL_COUNT,
    "evaluate.batch_size": _COUNT,
    "evaluate.num_samples": _COUNT,
    "evaluate.log_every": _COUNT,
}  # parts check their own parameters


def check_config(config: Config) -> None:
    """Raise ValueError unless the values of the config are in range and fit together."""
    if jax.process_count() > 1:
        raise ValueError(f"expected one process with all the devices; got {jax.process_count()} processes")
    flat = flatten(config)
    for key, field in _RANGES.items():
        check_value(key, flat[key], field)
    if config.model.name not in MODELS:
        raise ValueError(unknown_model(config.model.name))
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
            f"got {config.dataset.num_bits} and {config.dataset.crop!r}"
        )
    if config.dataset.noise and not is_of_vectors(config):
        raise ValueError(f"expected dataset.noise of 0 for images; got {config.dataset.noise}")
    keys_of_tables = {"columns": "", "drop": "", "missing": "refuse", "discrete": "refuse", "categories": ()}
    for key, value in keys_of_tables.items():
        if not is_of_vectors(config) and config.dataset[key] != value:
            raise ValueError(
                f"expected dataset.{key}={value!r} for the {config.model.name}, since the key is for tables; "
                f"got {shorten(config.dataset[key])}"
            )


def check_penalty(config: Config, flow: Flow) -> None:
    """Raise ValueError for an L2 penalty on a flow without any parameter that it penalizes."""
    if config.optimizer.l2 and not pure.penalized(flow):
        raise ValueError(
            f"expected optimizer.l2 of 0, since no part of the {config.model.name} has a parameter that it penalizes; "
            f"got {config.optimizer.l2}"
        )
