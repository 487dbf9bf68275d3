"""The contract of the conditioners of coupling layers.

A conditioner is a network from the identity half of a coupling layer's input to the parameters of the transformed half.
"""

import abc

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.statistics import NoNormalization, Normalization
from realnvp_jax.registry import check_parameters


class Conditioner(nn.Module):
    """Base class of the parts of the kind "conditioner".

    Your own conditioner declares its parameters as fields and implements `__call__`. Training keeps what JAX keeps for
    the backward pass; wrap whatever is cheap to recompute in `jax.checkpoint`.

    Attributes:
      out_features: channels of the output, (parameters of the transform per dimension) x (channels of the transformed
        half); set by the coupling layer.
      normalization: the normalization of the whole model, which the network may use in its own layers; set by the
        coupling layer.
    """

    out_features: int = 0
    normalization: Normalization = NoNormalization()

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    def widened(self, factor: int) -> "Conditioner":
        """The network for a scale with `factor` times as many channels; by default the network itself."""
        return self

    @abc.abstractmethod
    def __call__(
        self,
        identity: Float[Array, "n *half"],
        cells: Bool[Array, "1 height width 1"] | None,
        context: Float[Array, "n *context_positions context_size"] | None = None,
        mode: Mode = EVALUATE,
    ) -> Float[Array, "n *out"]:
        """Parameters of the transform, of the shape of the identity half with `out_features` channels.

        Args:
          identity: the identity half, with zeros in the other cells where the mask is over the cells of an image.
          cells: the mask over cells, True in the identity half; None for halves of the last axis.
          context: what the density is conditioned on; for images [n, context_size], or one vector for each position,
            [n, height, width, context_size].
          mode: mode of the pass.
        """


def image_inputs(
    identity: Float[Array, "n height width channels"],
    cells: Bool[Array, "1 height width 1"] | None,
    context: Float[Array, "n *context_positions context_size"] | None,
) -> Float[Array, "n height width inputs"]:
    """The identity half of an image, the mask over cells and the context, as channels of one array."""
    inputs = [identity]
    if cells is not None:
        inputs.append(jnp.broadcast_to(cells, (*identity.shape[:-1], 1)).astype(identity.dtype))
    if context is not None:
        by_position = context[:, None, None, :] if context.ndim == 2 else context
        inputs.append(jnp.broadcast_to(by_position, (*identity.shape[:-1], context.shape[-1])).astype(identity.dtype))
    return jnp.concatenate(inputs, axis=-1)
