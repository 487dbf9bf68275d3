"""The transform of RealNVP (Section 4.1 of the paper).

    z = (x + shift) exp(log_scale),    log_scale = scale tanh(raw) + offset

with trainable scalars `scale` and `offset`, or with one `scale` for each channel. The shift comes first, as in the
authors' code (the paper writes x exp(s) + t). Two other scale functions have no parameters of their own:

    sigmoid       scale = sigmoid(raw + 2)       Glow (Kingma and Dhariwal, 2018)
    soft_clamp    log_scale = 2 tanh(raw / 2)    the affine coupling layers of SurVAE Flows (Nielsen et al., 2020)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.bijections.transforms.transform import Transform
from realnvp_jax.networks.statistics import per_channel
from realnvp_jax.registry import parameter, register

SCALE_FUNCTIONS = ("tanh", "sigmoid", "soft_clamp")


@register("transform", "affine")
class Affine(Transform):
    """(x + shift) exp(log_scale), elementwise, by default with log_scale = scale tanh(raw) + offset.

    Attributes:
      initial_scale: initial value of the scalar `scale`; with 0, log_scale starts at 0.
      has_offset: whether there is a trainable `offset`, which starts at 0.
      penalizes_scale: whether `scale` carries the authors' L2 penalty.
      scale_function: log_scale as a function of raw: tanh, sigmoid or soft_clamp. All other fields belong to tanh.
      per_channel: whether there is a `scale` for each channel.
    """

    initial_scale: float = parameter(
        1.0, "initial factor of tanh in log_scale; masks over cells always start at 0", at_least=-100, at_most=100
    )
    has_offset: bool = True
    penalizes_scale: bool = False
    scale_function: str = parameter(
        "tanh",
        "log_scale as a function of the network's output h: tanh (a trainable factor times tanh(h)), sigmoid "
        "(log sigmoid(h + 2)) or soft_clamp (2 tanh(h / 2))",
        choices=SCALE_FUNCTIONS,
    )
    per_channel: bool = parameter(
        False, "scale_function=tanh: a trainable factor for each channel, which starts at initial_scale everywhere"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.scale_function == "tanh":
            return
        for name in ("initial_scale", "per_channel"):
            value, default = getattr(self, name), getattr(type(self), name)
            if value != default:
                raise ValueError(
                    f"expected the default {name}, {default}, for scale_function={self.scale_function!r}, which has no "
                    f"trainable factor; got {value}: leave it out"
                )

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
        and is not. There is an offset only in models without batch norm. Scales per channel, which the authors do not
        have, start alike everywhere, are all penalized, and make an offset unnecessary.
        """
        if self.scale_function != "tanh":
            return self
        if self.per_channel:
            return self.clone(has_offset=False, penalizes_scale=True)
        if in_cells:
            return self.clone(initial_scale=0.0, has_offset=not before_batch_norm, penalizes_scale=True)
        return self.clone(has_offset=not before_batch_norm)

    @nn.compact
    def shift_and_log_scale(
        self, raw: Float[Array, "*n doubled"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """(shift, log_scale) from the conditioner's output: its first half is the shift."""
        shift, raw_log_scale = jnp.split(raw, 2, axis=-1)
        if self.scale_function == "sigmoid":
            return shift, jax.nn.log_sigmoid(raw_log_scale + 2)
        if self.scale_function == "soft_clamp":
            return shift, 2 * jnp.tanh(raw_log_scale / 2)
        shape = shift.shape[-1:] if self.per_channel else ()
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), shape)
        log_scale = (per_channel(scale, shift) if self.per_channel else scale) * jnp.tanh(raw_log_scale)
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
