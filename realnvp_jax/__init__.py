"""RealNVP and its relatives in JAX: exact log-densities, fast samples, training from configs.

Every name is imported when it is first used, so that `import realnvp_jax` and the help of the commands are quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnvp_jax import interop
    from realnvp_jax.base import Base, Logistic, Normal, Uniform
    from realnvp_jax.bijections.bijection import Bijection, Chain
    from realnvp_jax.bijections.linear import InvertibleConv, LearnedLinear
    from realnvp_jax.bijections.permutation import Permutation, Reversal
    from realnvp_jax.bijections.plain_conv import PlainInvertibleConv
    from realnvp_jax.bijections.transforms import Additive, Affine, Mixture, MixtureAffine, Spline, Transform
    from realnvp_jax.compression.compress import compress, decompress
    from realnvp_jax.data.dataset import DataSet
    from realnvp_jax.data.examples import Examples
    from realnvp_jax.interop.sklearn import FlowDensity
    from realnvp_jax.masks import (
        Alternating,
        CellMask,
        Checkerboard,
        ImageHalves,
        RandomCells,
        RandomHalves,
        VectorHalves,
        VectorMask,
    )
    from realnvp_jax.mode import EVALUATE, INITIALIZE, TRAIN, Mode
    from realnvp_jax.models.autoregressive import autoregressive_flow, pixelcnn_flow
    from realnvp_jax.models.create import create
    from realnvp_jax.models.dequantizers import Dequantizer, UniformDequantizer, VariationalDequantizer
    from realnvp_jax.models.flow import Flow
    from realnvp_jax.models.glow import Glow, glow_flow
    from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
    from realnvp_jax.models.real_nvp import RealNVP, image_flow
    from realnvp_jax.models.rounding import RoundingWarning
    from realnvp_jax.models.vector import VectorRealNVP, vector_flow
    from realnvp_jax.networks.conditioner import Conditioner
    from realnvp_jax.networks.gated_dense import GatedDense
    from realnvp_jax.networks.mlp import MLP
    from realnvp_jax.networks.resnet import GainedResNet, ResNet
    from realnvp_jax.networks.statistics import ActNorm, BatchNorm, NoNormalization, Normalization
    from realnvp_jax.networks.three_convolutions import ThreeConvolutions
    from realnvp_jax.networks.vit import ViT
    from realnvp_jax.preprocessing import Center, Identity, Logit, Rescale, dequantize
    from realnvp_jax.random import draw_each
    from realnvp_jax.registry import parameter, register
    from realnvp_jax.runs.load import load
    from realnvp_jax.runs.named_configs import get_config
    from realnvp_jax.runs.pretrained import load_pretrained, pretrained_flows
    from realnvp_jax.runs.saved_flow import save
    from realnvp_jax.runs.signals import InterruptedRunError
    from realnvp_jax.runs.start import train
    from realnvp_jax.runs.trackers import Tracker
    from realnvp_jax.training.fit import History, fit
    from realnvp_jax.training.optimizer import SGD, Adam, Adamax, AdamW, Muon, Optimizer, ScheduleFree
    from realnvp_jax.training.steps import NonFiniteLossError

__version__ = "0.12.0"

_NAMES = {
    "base": ["Base", "Logistic", "Normal", "Uniform"],
    "bijections.bijection": ["Bijection", "Chain"],
    "bijections.linear": ["InvertibleConv", "LearnedLinear"],
    "bijections.permutation": ["Permutation", "Reversal"],
    "bijections.plain_conv": ["PlainInvertibleConv"],
    "compression.compress": ["compress", "decompress"],
    "bijections.transforms": ["Additive", "Affine", "Mixture", "MixtureAffine", "Spline", "Transform"],
    "data.dataset": ["DataSet"],
    "data.examples": ["Examples"],
    "interop.sklearn": ["FlowDensity"],
    "masks": [
        "Alternating",
        "CellMask",
        "Checkerboard",
        "ImageHalves",
        "RandomCells",
        "RandomHalves",
        "VectorHalves",
        "VectorMask",
    ],
    "mode": ["EVALUATE", "INITIALIZE", "TRAIN", "Mode"],
    "models.autoregressive": ["autoregressive_flow", "pixelcnn_flow"],
    "models.create": ["create"],
    "models.dequantizers": ["Dequantizer", "UniformDequantizer", "VariationalDequantizer"],
    "models.flow": ["Flow"],
    "models.glow": ["Glow", "glow_flow"],
    "models.masked_autoregressive": ["masked_autoregressive_flow"],
    "models.real_nvp": ["RealNVP", "image_flow"],
    "models.rounding": ["RoundingWarning"],
    "models.vector": ["VectorRealNVP", "vector_flow"],
    "networks.conditioner": ["Conditioner"],
    "networks.gated_dense": ["GatedDense"],
    "networks.mlp": ["MLP"],
    "networks.resnet": ["GainedResNet", "ResNet"],
    "networks.statistics": ["ActNorm", "BatchNorm", "NoNormalization", "Normalization"],
    "networks.three_convolutions": ["ThreeConvolutions"],
    "networks.vit": ["ViT"],
    "preprocessing": ["Center", "Identity", "Logit", "Rescale", "dequantize"],
    "random": ["draw_each"],
    "registry": ["parameter", "register"],
    "runs.load": ["load"],
    "runs.named_configs": ["get_config"],
    "runs.pretrained": ["load_pretrained", "pretrained_flows"],
    "runs.saved_flow": ["save"],
    "runs.start": ["train"],
    "runs.trackers": ["Tracker"],
    "training.fit": ["History", "fit"],
    "runs.signals": ["InterruptedRunError"],
    "training.steps": ["NonFiniteLossError"],
    "training.optimizer": ["SGD", "Adam", "AdamW", "Adamax", "Muon", "Optimizer", "ScheduleFree"],
}
_PLACES = {name: f"realnvp_jax.{module}" for module, names in _NAMES.items() for name in names}

__all__ = [
    "EVALUATE",
    "INITIALIZE",
    "MLP",
    "SGD",
    "TRAIN",
    "ActNorm",
    "Adam",
    "AdamW",
    "Adamax",
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
    "FlowDensity",
    "GainedResNet",
    "GatedDense",
    "Glow",
    "History",
    "Identity",
    "ImageHalves",
    "InterruptedRunError",
    "InvertibleConv",
    "LearnedLinear",
    "Logistic",
    "Logit",
    "Mixture",
    "MixtureAffine",
    "Mode",
    "Muon",
    "NoNormalization",
    "NonFiniteLossError",
    "Normal",
    "Normalization",
    "Optimizer",
    "Permutation",
    "PlainInvertibleConv",
    "RandomCells",
    "RandomHalves",
    "RealNVP",
    "ResNet",
    "Rescale",
    "Reversal",
    "RoundingWarning",
    "ScheduleFree",
    "Spline",
    "ThreeConvolutions",
    "Tracker",
    "Transform",
    "Uniform",
    "UniformDequantizer",
    "VariationalDequantizer",
    "VectorHalves",
    "VectorMask",
    "VectorRealNVP",
    "ViT",
    "autoregressive_flow",
    "compress",
    "create",
    "decompress",
    "dequantize",
    "draw_each",
    "fit",
    "get_config",
    "glow_flow",
    "image_flow",
    "interop",
    "load",
    "load_pretrained",
    "masked_autoregressive_flow",
    "parameter",
    "pixelcnn_flow",
    "pretrained_flows",
    "register",
    "save",
    "train",
    "vector_flow",
]


def __getattr__(name: str) -> Any:
    if name == "interop":
        return importlib.import_module("realnvp_jax.interop")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
