"""From a config to a flow."""

from typing import Any

from realnvp_jax.models.flow import Flow
from realnvp_jax.models.image import image_flow
from realnvp_jax.models.vector import vector_flow

Config = Any  # ml_collections.ConfigDict, whose attributes are dynamic

MODELS = ("image_flow", "vector_flow")


def create(config: Config) -> Flow:
    """Build the flow that `config.model` describes.

    Raises:
      ValueError: the model's name is unknown, or its sizes do not fit together.
    """
    model = config.model
    if model.name not in MODELS:
        raise ValueError(f"expected model.name to be one of {MODELS}; got {model.name!r}")
    shared = {
        "context": len(context_columns(config)),
        "masks": model.masks,
        "transform": model.transform,
        "num_bins": model.num_bins,
        "tail_bound": model.tail_bound,
        "normalization": model.normalization,
        "batch_norm_lag": model.batch_norm_lag,
    }
    if model.name == "image_flow":
        return image_flow(
            tuple(model.event_shape),
            num_scales=model.num_scales,
            base_features=model.base_features,
            num_blocks=model.num_blocks,
            levels=model.levels,
            alpha=model.alpha,
            **shared,
        )
    if len(model.event_shape) != 1:
        raise ValueError(f"expected model.event_shape (columns,) for a vector_flow; got {tuple(model.event_shape)}")
    return vector_flow(
        model.event_shape[0],
        num_layers=model.num_layers,
        hidden=tuple(model.hidden),
        activation=model.activation,
        seed=model.mask_seed,
        **shared,
    )


def context_columns(config: Config) -> tuple[str, ...]:
    """Names of the columns that the density is conditioned on."""
    return tuple(name.strip() for name in config.dataset.context.split(",") if name.strip())
