"""From a config to a flow."""

import csv
import dataclasses
from typing import Any

from realnvp_jax.models.autoregressive import autoregressive_flow, pixelcnn_flow
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.image import image_flow
from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
from realnvp_jax.models.vector import vector_flow
from realnvp_jax.networks.execution import Execution

Config = Any  # ml_collections.ConfigDict, whose attributes are dynamic

_LAYERS = ("transform", "num_bins", "tail_bound", "normalization", "batch_norm_lag")
_MIXTURE = ("num_components", "mixture", "base")
_IMAGE = ("name", "event_shape", "levels", "base_features", "num_blocks")
_VECTOR = ("name", "event_shape", "hidden", "activation", "mask_seed")

IMAGE_MODELS = {
    "image_flow": (*_IMAGE, *_LAYERS, "num_scales", "alpha", "masks"),
    "pixelcnn_flow": (*_IMAGE, *_MIXTURE, "kernel_size"),
}
VECTOR_MODELS = {
    "vector_flow": (*_VECTOR, *_LAYERS, "num_layers", "masks"),
    "autoregressive_flow": (*_VECTOR, *_MIXTURE, "conditioner", "order", "residual"),
    "masked_autoregressive_flow": (*_VECTOR, *_LAYERS, "num_layers", "order", "residual", "inverse"),
}
PLAIN_EXECUTION = dataclasses.asdict(Execution())  # top-level keys that only the image_flow reads
MODELS = {**IMAGE_MODELS, **VECTOR_MODELS}  # and the keys of config.model that each reads


def check_version(config: Config, where: str) -> None:
    """Raise ValueError for the config of an image_flow from before version 0.2, with other parameters."""
    if config.model.name == "image_flow" and "memory" not in config:
        raise ValueError(
            f"expected a run of version 0.2 or later in {where}; got one of an older version, which kept parameters of "
            "every coupling and block by themselves: use that version, or train again in another workdir"
        )


def create(config: Config) -> Flow:
    """Build the flow that `config.model` describes.

    Raises:
      ValueError: the model's name is unknown, or its sizes do not fit together.
    """
    name, shape = config.model.name, tuple(config.model.event_shape)
    if name in IMAGE_MODELS:
        return _image_flow(config, shape)
    if name not in VECTOR_MODELS:
        raise ValueError(f"expected model.name to be one of {tuple(MODELS)}; got {name!r}")
    if len(shape) != 1:
        raise ValueError(f"expected model.event_shape (columns,) for the {name}; got {shape}")
    return _vector_flow(config.model, shape[0], len(context_columns(config)))


def _image_flow(config: Config, shape: tuple[int, ...]) -> Flow:
    model, context = config.model, _num_classes(config)
    if model.name == "pixelcnn_flow":
        return pixelcnn_flow(
            shape,
            levels=model.levels,
            features=model.base_features,
            num_blocks=model.num_blocks,
            context=context,
            kernel_size=model.kernel_size,
            **_select(model, _MIXTURE),
        )
    return image_flow(
        shape,
        num_scales=model.num_scales,
        base_features=model.base_features,
        num_blocks=model.num_blocks,
        levels=model.levels,
        alpha=model.alpha,
        context=context,
        masks=model.masks,
        **_select(model, _LAYERS),
        **{key: config[key] for key in PLAIN_EXECUTION},
    )


def _vector_flow(model: Config, num_dims: int, context: int) -> Flow:
    conditioner = {
        "hidden": tuple(model.hidden),
        "activation": model.activation,
        "context": context,
        "seed": model.mask_seed,
    }
    if model.name == "autoregressive_flow":
        return autoregressive_flow(
            num_dims,
            conditioner=model.conditioner,
            order=model.order,
            residual=model.residual,
            **conditioner,
            **_select(model, _MIXTURE),
        )
    if model.name == "masked_autoregressive_flow":
        return masked_autoregressive_flow(
            num_dims,
            num_layers=model.num_layers,
            inverse=model.inverse,
            order=model.order,
            residual=model.residual,
            **conditioner,
            **_select(model, _LAYERS),
        )
    return vector_flow(
        num_dims, num_layers=model.num_layers, masks=model.masks, **conditioner, **_select(model, _LAYERS)
    )


def _select(model: Config, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: model[key] for key in keys}


def context_columns(config: Config) -> tuple[str, ...]:
    """Names of the columns that the density is conditioned on; quotes are around one with a comma, as in a CSV file."""
    rows = csv.reader(config.dataset.context.splitlines(), skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def is_class_conditional(config: Config) -> bool:
    """Whether the density is one of images, conditioned on their labels."""
    return config.model.name in IMAGE_MODELS and config.dataset.context == "label"


def class_names(config: Config) -> tuple[str, ...]:
    """Names of the classes that a density of images is conditioned on, () if it is not."""
    return tuple(config.dataset.classes) if is_class_conditional(config) else ()


def _num_classes(config: Config) -> int:
    """Size of the one-hot labels that a density of images is conditioned on, 0 if it is not.

    Raises:
      ValueError: it is, and the config does not say the classes.
    """
    classes = class_names(config)
    if is_class_conditional(config) and len(classes) < 2:
        raise ValueError(
            f"expected at least 2 names of classes in dataset.classes with dataset.context='label'; got {classes}: "
            "name them (the training program takes them from the data if there are none)"
        )
    return len(classes)
