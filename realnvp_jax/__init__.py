"""RealNVP and its relatives in JAX: exact log-densities, fast samples, training from configs.

What needs Orbax, TFDS or matplotlib (`load`, `save`, `fit`, `train`) is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from realnvp_jax import interop
from realnvp_jax.base import Base, Logistic, Normal, Uniform
from realnvp_jax.bijections.bijection import Bijection, Chain
from realnvp_jax.bijections.linear import InvertibleConv, LearnedLinear
from realnvp_jax.bijections.transforms import Additive, Affine, Mixture, Spline, Transform
from realnvp_jax.masks import Alternating, CellMask, Checkerboard, ImageHalves, RandomHalves, VectorHalves, VectorMask
from realnvp_jax.mode import EVALUATE, INITIALIZE, TRAIN, Mode
from realnvp_jax.models.autoregressive import autoregressive_flow, pixelcnn_flow
from realnvp_jax.models.dequantizers import Dequantizer, UniformDequantizer
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.glow import Glow, glow_flow
from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
from realnvp_jax.models.real_nvp import RealNVP, image_flow
from realnvp_jax.models.vector import VectorRealNVP, vector_flow
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.statistics import ActNorm, BatchNorm, NoNormalization, Normalization
from realnvp_jax.preprocessing import Center, Identity, Logit, Rescale, dequantize
from realnvp_jax.random import draw_each
from realnvp_jax.registry import parameter, register

if TYPE_CHECKING:
    from realnvp_jax.data.dataset import DataSet
    from realnvp_jax.data.examples import Examples
    from realnvp_jax.models.create import create
    from realnvp_jax.runs.load import load
    from realnvp_jax.runs.saved_flow import save
    from realnvp_jax.runs.trainer import train
    from realnvp_jax.training.fit import History, fit
    from realnvp_jax.training.optimizer import SGD, Adam, Optimizer

__version__ = "0.3.0"

_LAZY = {
    "Adam": "realnvp_jax.training.optimizer",
    "SGD": "realnvp_jax.training.optimizer",
    "Optimizer": "realnvp_jax.training.optimizer",
    "DataSet": "realnvp_jax.data.dataset",
    "Examples": "realnvp_jax.data.examples",
    "History": "realnvp_jax.training.fit",
    "create": "realnvp_jax.models.create",
    "fit": "realnvp_jax.training.fit",
    "load": "realnvp_jax.runs.load",
    "save": "realnvp_jax.runs.saved_flow",
    "train": "realnvp_jax.runs.trainer",
}

__all__ = [
    "EVALUATE",
    "INITIALIZE",
    "MLP",
    "SGD",
    "TRAIN",
    "ActNorm",
    "Adam",
    "Additive",
    "Affine",
    "Alternating",
    "Base",
    "BatchNorm",
    "Bijection",
    "CellMask",
    "Center",
    "Chain",
    "Checkerboard",
    "Conditioner",
    "DataSet",
    "Dequantizer",
    "Examples",
    "Flow",
    "Glow",
    "History",
    "Identity",
    "ImageHalves",
    "InvertibleConv",
    "LearnedLinear",
    "Logistic",
    "Logit",
    "Mixture",
    "Mode",
    "NoNormalization",
    "Normal",
    "Normalization",
    "Optimizer",
    "RandomHalves",
    "RealNVP",
    "ResNet",
    "Rescale",
    "Spline",
    "Transform",
    "Uniform",
    "UniformDequantizer",
    "VectorHalves",
    "VectorMask",
    "VectorRealNVP",
    "autoregressive_flow",
    "create",
    "dequantize",
    "draw_each",
    "fit",
    "glow_flow",
    "image_flow",
    "interop",
    "load",
    "masked_autoregressive_flow",
    "parameter",
    "pixelcnn_flow",
    "register",
    "save",
    "train",
    "vector_flow",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
