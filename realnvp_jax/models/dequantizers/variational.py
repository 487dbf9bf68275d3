"""Variational dequantization (Ho et al., Flow++, 2019, Section 3.1).

The noise u in y = x + u has a learned density given the pixels: a conditional flow from logistic noise e,

    u = sigmoid(couplings(e; features(x))),    log q(u | x) = log p(e) - log |det du/de|.

Every coupling starts as the identity, so that u starts as uniform noise: sigmoid(e) is uniform for logistic e.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from realnvp_jax.base import Logistic
from realnvp_jax.bijections.coupling import coupling
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.bijections.transforms import Affine
from realnvp_jax.masks import Halves
from realnvp_jax.mode import EVALUATE
from realnvp_jax.models.dequantizers.dequantizer import Dequantizer
from realnvp_jax.networks.conditioner import image_inputs
from realnvp_jax.networks.gated_dense import GatedDense, GatedLayers
from realnvp_jax.networks.statistics import NoNormalization
from realnvp_jax.random import draw_each
from realnvp_jax.registry import parameter, register
from realnvp_jax.squeeze import squeeze, unsqueeze

_BASE = Logistic()


@register("dequantizer", "variational")
class VariationalDequantizer(Dequantizer):
    """Noise from a conditional flow: affine couplings between halves of the squeezed channels, which see the pixels.

    Heights and widths must be even.
    """

    levels: int = parameter(256, "images: number of values that a pixel can take", at_least=2)
    noise_couplings: int = parameter(4, "couplings of the variational dequantizer", at_least=1)
    noise_features: int = parameter(32, "channels of the variational dequantizer's networks", at_least=1)
    noise_blocks: int = parameter(2, "densely connected layers of the variational dequantizer's networks", at_least=1)
    dtype: str = parameter(
        "float32", "dtype of the conditioners in training; densities are float32", choices=("float32", "bfloat16")
    )

    def __call__(self, x, key, indices, context=None, mode=EVALUATE):
        """(x + u, log q(u | x))."""
        if x.ndim != 4 or x.shape[1] % 2 or x.shape[2] % 2:
            raise ValueError(
                f"expected images of even height and width for the variational dequantizer; got {tuple(x.shape[1:])}"
            )
        pixels = x.astype(jnp.result_type(float))
        e = draw_each(jax.random.logistic, key, indices, x.shape[1:], pixels.dtype)
        log_q = jnp.sum(_BASE.log_density(e), axis=(1, 2, 3))
        features, couplings = self.conditioned(pixels, context, mode)
        noise, log_det = couplings.forward(squeeze(e), features, mode)
        noise = unsqueeze(noise)
        log_slope = jax.nn.log_sigmoid(noise) + jax.nn.log_sigmoid(-noise)
        log_q = log_q - log_det - jnp.sum(log_slope, axis=(1, 2, 3))
        below_next = jnp.nextafter(pixels + 1, jnp.zeros((), pixels.dtype))
        above_zero = jnp.maximum(nn.sigmoid(noise), jnp.finfo(noise.dtype).epsneg)  # the support may be open at 0
        return jnp.minimum(pixels + above_zero, below_next), log_q

    @nn.compact
    def conditioned(self, pixels, context=None, mode=EVALUATE):
        """(features of the pixels, the couplings of squeezed noise, whose context they are)."""
        scaled = squeeze(2 * pixels / self.levels - 1)
        layers = GatedLayers(self.noise_features, self.noise_blocks, dtype=self.dtype, name="features")
        features = jnp.concatenate(layers(image_inputs(scaled, None, context), mode), axis=-1)
        return features, couplings_of(self, scaled.shape[-1])


def couplings_of(dequantizer: VariationalDequantizer, channels: int) -> Stack:
    """The couplings of squeezed noise with this many channels.

    Those of their one layer, which belongs to the dequantizer, are stored under the name "Coupling_0".
    """
    features, blocks, dtype = dequantizer.noise_features, dequantizer.noise_blocks, dequantizer.dtype
    network = GatedDense(base_features=features, num_blocks=blocks, dtype=dtype)
    layer = coupling(Halves(), network, Affine(), NoNormalization(), channels // 2)
    places = tuple(number % 2 for number in range(dequantizer.noise_couplings))
    return Stack(layer, dequantizer.noise_couplings, places, name="couplings")
