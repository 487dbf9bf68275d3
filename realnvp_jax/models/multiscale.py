"""The multi-scale architecture (Section 3.6 of the paper), of which RealNVP and Glow are two instances.

At every scale but the last

    layers before, a squeeze, layers behind; the first half of the channels goes on to the next scale,
    the second half is factored out, and may be normalized given the first (a split prior)

The factored-out halves are put back where they were taken from, so the latent has the shape of the image.
`models.real_nvp` has its coupling layers before the squeeze, `models.glow` after it.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.bijection import Bijection, Chain, Context
from realnvp_jax.bijections.prior import SplitPrior
from realnvp_jax.mode import EVALUATE, Mode

Image = Float[Array, "n _ _ _"]


class Scale(nn.Module):
    """One scale.

    Attributes:
      before: layers at the resolution of the input.
      squeeze: bijection to half of the resolution, or None.
      behind: layers at the lower resolution.
      factors_out: whether half of the channels is factored out.
      prior: normalizes the factored-out half given the other half, or None.
    """

    before: Bijection = Chain()
    squeeze: Bijection | None = None
    behind: Bijection = Chain()
    factors_out: bool = False
    prior: SplitPrior | None = None

    def forward(self, x: Image, context: Context = None, mode: Mode = EVALUATE) -> tuple[Image, Any, Array]:
        """(what goes on, what is factored out or None, log_det)."""
        x, log_det = self.before.forward(x, context, mode.at(0))
        if self.squeeze is not None:
            x, _ = self.squeeze.forward(x)
        x, behind_log_det = self.behind.forward(x, context, mode.at(1))
        log_det = log_det + behind_log_det
        if not self.factors_out:
            return x, None, log_det
        x, latent = _halves(x)
        if self.prior is not None:
            latent, prior_log_det = self.prior.forward_given(latent, x, context)
            log_det = log_det + prior_log_det
        return x, latent, log_det

    def inverse(self, x: Image, latent: Any, context: Context = None) -> tuple[Image, Array]:
        """(x, log_det) from what went on and what was factored out."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)
        if latent is not None:
            if self.prior is not None:
                latent, log_det = self.prior.inverse_given(latent, x, context)
            x = jnp.concatenate([x, latent], axis=-1)
        x, behind_log_det = self.behind.inverse(x, context)
        if self.squeeze is not None:
            x, _ = self.squeeze.inverse(x)
        x, before_log_det = self.before.inverse(x, context)
        return x, log_det + behind_log_det + before_log_det

    def restore(self, x: Image, latent: Any) -> Image:
        """Put both parts of a latent where they were taken from."""
        if latent is not None:
            x = jnp.concatenate([x, latent], axis=-1)
        return x if self.squeeze is None else self.squeeze.inverse(x)[0]

    def take_apart(self, z: Image) -> tuple[Image, Any]:
        """Inverse of `restore`."""
        if self.squeeze is not None:
            z, _ = self.squeeze.forward(z)
        if not self.factors_out:
            return z, None
        return _halves(z)


def _halves(x: Image) -> tuple[Image, Image]:
    """(the first half of the channels, which goes on, the second half, which is factored out)."""
    if x.shape[-1] % 2:
        raise ValueError(
            f"expected an even number of channels, of which a scale factors out half; got {x.shape[-1]} in images of "
            f"shape {tuple(x.shape[1:])}: squeeze them first"
        )
    first, second = jnp.split(x, 2, axis=-1)
    return first, second


class MultiScale(Bijection):
    """The architecture; a subclass defines `scales`, and `final`, a bijection of the whole latent, in its `setup`."""

    is_elementary = False

    def forward(self, x, context=None, mode=EVALUATE):
        """Preprocessed images to latents of their shape."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)
        latents = []
        for number, scale in enumerate(self.scales):
            x, latent, scale_log_det = scale.forward(x, context, mode.at(number))
            latents.append(latent)
            log_det = log_det + scale_log_det
        for scale in reversed(self.scales):
            x = scale.restore(x, latents.pop())
        x, final_log_det = self.final.forward(x, context, mode)
        return x, log_det + final_log_det

    def inverse(self, z, context=None):
        """Latents to preprocessed images."""
        z, log_det = self.final.inverse(z, context)
        latents = []
        for scale in self.scales:
            z, latent = scale.take_apart(z)
            latents.append(latent)
        for scale in reversed(self.scales):
            z, scale_log_det = scale.inverse(z, latents.pop(), context)
            log_det = log_det + scale_log_det
        return z, log_det

    def latent_scales(self, event_shape: tuple[int, int, int]) -> Float[Array, "height width channels"]:
        """The scale that factors out each position of the latent, counted from the finest, 0; the last has the rest."""
        z = jnp.zeros((1, *event_shape))
        latents = []
        for number, scale in enumerate(self.scales):
            z, latent = scale.take_apart(z)
            latents.append(None if latent is None else jnp.full_like(latent, number))
        z = jnp.full_like(z, len(self.scales) - 1)
        for scale in reversed(self.scales):
            z = scale.restore(z, latents.pop())
        return z[0]
