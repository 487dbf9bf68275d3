"""Checks of the numbers in a config, before anything is read or written."""

import jax

from realnvp_jax.models import pure
from realnvp_jax.models.create import MODELS, Config, is_class_conditional, is_of_vectors, unused_top_level
from realnvp_jax.models.flow import Flow
from realnvp_jax.text import shorten


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
            f"expected the default {unused[0].partition('=')[0]} for the {config.model.name}, which does not use it; "
            f"got {unused[0]}: remove it"
        )
    if is_of_vectors(config) and (config.dataset.num_bits or config.dataset.crop != "none"):
        raise ValueError(
            f"expected dataset.num_bits=0 and dataset.crop='none', which are for images, for the {config.model.name}; "
            f"got {config.dataset.num_bits} and {config.dataset.crop!r}"
        )
    keys_of_tables = {"columns": "", "drop": "", "missing": "refuse", "discrete": "refuse", "categories": ()}
    for key, value in keys_of_tables.items():
        if not is_of_vectors(config) and config.dataset[key] != value:
            raise ValueError(
                f"expected dataset.{key}={value!r} for the {config.model.name}, since it is for tables; "
                f"got {shorten(config.dataset[key])}"
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
