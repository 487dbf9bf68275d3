"""RealNVP and its relatives in JAX: exact log-densities, fast samples, training from configs.

What needs Orbax, TFDS or matplotlib (`load`, `fit`, `train`) is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from realnvp_jax import interop
from realnvp_jax.base import Logistic, Normal, Uniform
from realnvp_jax.bijections.bijection import Bijection, Chain
from realnvp_jax.models.autoregressive import autoregressive_flow, pixelcnn_flow
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
from realnvp_jax.models.real_nvp import RealNVP, image_flow
from realnvp_jax.models.vector import VectorRealNVP, vector_flow
from realnvp_jax.preprocessing import Center, Identity, Logit, Rescale, dequantize
from realnvp_jax.registry import register

if TYPE_CHECKING:
    from realnvp_jax.checkpoints import load
    from realnvp_jax.data.dataset import DataSet
    from realnvp_jax.data.examples import Examples
    from realnvp_jax.models.create import create
    from realnvp_jax.training.fit import fit
    from realnvp_jax.training.loop import train

__version__ = "0.2.0"

_LAZY = {
    "DataSet": "realnvp_jax.data.dataset",
    "Examples": "realnvp_jax.data.examples",
    "create": "realnvp_jax.models.create",
    "fit": "realnvp_jax.training.fit",
    "load": "realnvp_jax.checkpoints",
    "train": "realnvp_jax.training.loop",
}

__all__ = [
    "Bijection",
    "Center",
    "Chain",
    "DataSet",
    "Examples",
    "Flow",
    "Identity",
    "Logistic",
    "Logit",
    "Normal",
    "RealNVP",
    "Rescale",
    "Uniform",
    "VectorRealNVP",
    "autoregressive_flow",
    "create",
    "dequantize",
    "fit",
    "image_flow",
    "interop",
    "load",
    "masked_autoregressive_flow",
    "pixelcnn_flow",
    "register",
    "train",
    "vector_flow",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
