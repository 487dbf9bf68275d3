"""Conditioners: the networks that compute the parameters of bijections; importing them here registers them."""

from realnvp_jax.networks.gated_dense import GatedDense
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.three_convolutions import ThreeConvolutions
from realnvp_jax.networks.vit import ViT

__all__ = ["MLP", "GatedDense", "ResNet", "ThreeConvolutions", "ViT"]
