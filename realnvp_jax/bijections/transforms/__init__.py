"""Elementwise transforms, one per file; importing them here registers them."""

from realnvp_jax.bijections.transforms.additive import Additive
from realnvp_jax.bijections.transforms.affine import Affine
from realnvp_jax.bijections.transforms.mixture import Mixture
from realnvp_jax.bijections.transforms.mixture_affine import MixtureAffine
from realnvp_jax.bijections.transforms.spline import Spline
from realnvp_jax.bijections.transforms.transform import Transform

__all__ = ["Additive", "Affine", "Mixture", "MixtureAffine", "Spline", "Transform"]
