"""Invertible maps with tractable log-determinants; importing the mixings here registers them."""

from realnvp_jax.bijections.linear import InvertibleConv, LearnedLinear
from realnvp_jax.bijections.permutation import Permutation, Reversal
from realnvp_jax.bijections.plain_conv import PlainInvertibleConv

__all__ = ["InvertibleConv", "LearnedLinear", "Permutation", "PlainInvertibleConv", "Reversal"]
