"""RealNVP and its relatives in JAX: exact log-densities, fast samples, training from configs."""

from realnvp_jax import interop
from realnvp_jax.base import Logistic, Normal, Uniform
from realnvp_jax.bijections.bijection import Bijection, Chain
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.image import image_flow
from realnvp_jax.models.real_nvp import RealNVP
from realnvp_jax.preprocessing import Identity, Logit, Rescale, dequantize
