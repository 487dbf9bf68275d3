"""From a config to a trained flow."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnvp_jax.training.loop import train

__all__ = ["train"]


def __getattr__(name: str) -> Any:
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from realnvp_jax.training.loop import train

    return train
