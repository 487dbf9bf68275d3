"""Conditioners, the networks that compute the parameters of bijections; they register themselves when imported here."""

from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.resnet import ResNet

__all__ = ["MLP", "ResNet"]
