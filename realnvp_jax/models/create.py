"""From a config to a flow."""

from typing import Any

from realnvp_jax.models.flow import Flow
from realnvp_jax.models.image import image_flow

Config = Any  # ml_collections.ConfigDict, whose attributes are dynamic


def create(config: Config) -> Flow:
    """Build the flow that `config.model` describes.

    Raises:
      ValueError: the model's name is unknown, or its sizes do not fit together.
    """
    model = config.model
    if model.name != "image_flow":
        raise ValueError(f"expected model.name to be image_flow; got {model.name!r}")
    return image_flow(
        tuple(model.event_shape),
        num_scales=model.num_scales,
        base_features=model.base_features,
        num_blocks=model.num_blocks,
        levels=model.levels,
        alpha=model.alpha,
    )
