"""The transform of RealNVP (Section 4.1 of the paper).

    z = (x + shift) exp(log_scale),    log_scale = scale tanh(raw) + offset

with trainable scalars `scale` and `offset`. The shift comes first, as in the authors' code (the paper writes
x exp(s) + t).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.transforms.transform import Transform
from realnvp_jax.registry import parameter, register


@register("transform", "affine")
class Affine(Transform):
    """(x + shift) exp(log_scale), elementwise, log_scale = scale tanh(raw) + offset.

    Attributes:
      initial_scale: initial value of the scalar `scale`; with 0, log_scale starts at 0.
      has_offset: whether there is a trainable `offset`, which starts at 0.
      penalizes_scale: whether `scale` carries the authors' L2 penalty.
    """

    initial_scale: float = parameter(
        1.0, "initial factor of tanh in log_scale; masks over cells always start at 0", at_least=-100, at_most=100
    )
    has_offset: bool = True
    penalizes_scale: bool = False

    @property
    def parameters_per_dim(self) -> int:
        """Shift and log_scale."""
        return 2

    @property
    def penalized(self) -> tuple[str, ...]:
        """The parameters that carry the authors' L2 penalty."""
        return ("scale",) if self.penalizes_scale else ()

    def placed(self, *, in_cells, before_batch_norm):
        """The transform as the authors' code places it.

        The scale of a checkerboard coupling starts at 0 and is penalized; that of a channel-wise coupling starts at 1
        and is not. There is an offset only in models without batch norm.
        """
        if in_cells:
            return self.clone(initial_scale=0.0, has_offset=not before_batch_norm, penalizes_scale=True)
        return self.clone(has_offset=not before_batch_norm)

    @nn.compact
    def shift_and_log_scale(
        self, raw: Float[Array, "*n doubled"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """(shift, log_scale) from the conditioner's output: its first half is the shift."""
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), ())
        shift, raw_log_scale = jnp.split(raw, 2, axis=-1)
        log_scale = scale * jnp.tanh(raw_log_scale)
        if self.has_offset:
            log_scale = log_scale + self.param("offset", nn.initializers.zeros, ())
        return shift, log_scale

    def forward(self, x, raw):
        """Value and elementwise log-derivative."""
        shift, log_scale = self.shift_and_log_scale(raw)
        return (x + shift) * jnp.exp(log_scale), log_scale

    def inverse(self, z, raw):
        """Value and elementwise log-derivative."""
        shift, log_scale = self.shift_and_log_scale(raw)
        return z * jnp.exp(-log_scale) - shift, -log_scale
