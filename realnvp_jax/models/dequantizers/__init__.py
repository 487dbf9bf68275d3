"""How discrete data are made continuous: one file for each dequantizer."""

from realnvp_jax.models.dequantizers.dequantizer import Dequantizer as Dequantizer
from realnvp_jax.models.dequantizers.uniform import UniformDequantizer as UniformDequantizer
from realnvp_jax.models.dequantizers.variational import VariationalDequantizer as VariationalDequantizer
