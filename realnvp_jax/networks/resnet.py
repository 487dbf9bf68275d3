"""The conditioner of the image model: a weight-normalised residual network with skip connections.

It is the paper's convolutional network (Section 4.1, with residual blocks, skip connections, batch
normalisation and weight normalisation) in the exact form of the authors' code: one network gives shift and
log_scale, gains stand only on the convolutions that write into the residual stream or the output, batch
normalisation has an offset and no gain, and the input is batch-normalised and split into its positive and
negative parts. ActNorm or nothing can take the place of batch normalisation.

The residual blocks are a loop over parameters with a leading axis for the block, which compiles as fast as one block.
"""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Bool, Float

from realnvp_jax.networks.execution import Execution
from realnvp_jax.networks.loop import loop_over
from realnvp_jax.networks.normalization import NormalizationSpec, NormalizeWithOffset
from realnvp_jax.networks.residual_loop import KEPT, Stream, loop_over_blocks
from realnvp_jax.networks.weight_norm import WeightNormConv


class ResidualBlock(nn.Module):
    """A skip connection from the stream to the output, and a residual that is added to the stream.

    The residual is normalisation, relu, 3x3 convolution, twice (He et al. 2016, pre-activation).
    """

    PARTS: ClassVar = (("skip", "norm_in", "conv_in"), ("norm_out", "conv_out"))

    features: int
    normalization: NormalizationSpec

    def setup(self):
        """The layers."""
        self.skip = WeightNormConv(self.features, 1, use_gain=True)
        self.norm_in = NormalizeWithOffset(self.normalization)
        self.conv_in = WeightNormConv(self.features, 3, use_bias=False)
        self.norm_out = NormalizeWithOffset(self.normalization)
        self.conv_out = WeightNormConv(self.features, 3, use_gain=True)

    def first(self, stream: Stream, *, train: bool, axis_name: str | None) -> tuple[Stream, Stream]:
        """(output of the first 3x3 convolution, what the skip connection adds to the output)."""
        h = nn.relu(self.norm_in(stream, train=train, axis_name=axis_name))
        return self.conv_in(h, train=train), self.skip(stream, train=train)

    def second(self, u: Stream, *, train: bool, axis_name: str | None) -> Stream:
        """The residual from the output of the first 3x3 convolution."""
        h = nn.relu(self.norm_out(u, train=train, axis_name=axis_name))
        return self.conv_out(h, train=train)

    def __call__(self, stream: Stream, out: Stream, *, train: bool, axis_name: str | None) -> tuple[Stream, Stream]:
        """(stream, out)."""
        u, skip = self.first(stream, train=train, axis_name=axis_name)
        return stream + self.second(u, train=train, axis_name=axis_name), out + skip


class ResNet(nn.Module):
    """Residual network from the identity half of an image to the parameters of the transformed half.

    Attributes:
      features: channels of the residual stream.
      num_blocks: number of residual blocks.
      out_channels: channels of the output, (parameters per dimension) x (channels of the transformed half).
      normalization: in front of every relu and of the input.
      execution: how training passes are carried out.
    """

    features: int
    num_blocks: int
    out_channels: int
    normalization: NormalizationSpec = NormalizationSpec()
    execution: Execution = Execution()

    def setup(self):
        """The layers; `blocks` has parameters with a leading axis for the block."""
        self.norm_in = NormalizeWithOffset(self.normalization)
        self.conv_in = WeightNormConv(self.features, 3)
        self.blocks = ResidualBlock(self.features, self.normalization)
        self.skip_out = WeightNormConv(self.features, 1, use_gain=True)
        self.norm_out = NormalizeWithOffset(self.normalization)
        self.conv_out = WeightNormConv(self.out_channels, 1, use_gain=True)

    def __call__(
        self,
        identity: Float[Array, "n height width channels"],
        cells: Bool[Array, "1 height width 1"] | None,
        context: Float[Array, "n context_size"] | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "n height width out"]:
        """Parameters of the transform.

        Args:
          identity: the identity half, with zeros in the other cells where the mask is a checkerboard.
          cells: the checkerboard mask, which becomes an input channel, or None for real halves.
          context: what the density is conditioned on; one constant input channel each.
          train: normalise by the batch's statistics and update the running ones.
          axis_name: axis of devices that share the batch.
        """
        h = self.norm_in(identity, train=train, axis_name=axis_name)
        if cells is not None:
            h = 2 * h  # half of the cells are zero
        inputs = [nn.relu(h), nn.relu(-h)]
        if cells is not None:
            inputs.append(jnp.broadcast_to(cells, (*h.shape[:-1], 1)).astype(h.dtype))
        if context is not None:
            inputs.append(jnp.broadcast_to(context[:, None, None, :], (*h.shape[:-1], context.shape[-1])))
        h = self.execution.narrow(
            jnp.concatenate(inputs, axis=-1), train=train and not self.is_mutable_collection("params")
        )
        stream, out = self._through_blocks(self.conv_in(h, train=train), train=train, axis_name=axis_name)
        stream = checkpoint_name(stream, KEPT)
        out = checkpoint_name(out + self.skip_out(stream, train=train), KEPT)
        out = nn.relu(self.norm_out(out, train=train, axis_name=axis_name))
        return self.conv_out(out, train=train).astype(identity.dtype)

    def _through_blocks(self, stream: jax.Array, *, train: bool, axis_name: str | None) -> tuple[jax.Array, jax.Array]:
        """(stream, output so far) behind the last block."""
        if train and not self.is_mutable_collection("params"):
            unroll = self.num_blocks if self.execution.unroll else 1
            result, statistics = loop_over_blocks(self.blocks, stream, axis_name=axis_name, unroll=unroll)
            if statistics and self.is_mutable_collection("batch_stats"):
                self.put_variable("batch_stats", "blocks", statistics)
            return result

        def step(block, carry, _):
            return block(*carry, train=train, axis_name=axis_name)

        start = stream, jnp.zeros_like(stream)
        return loop_over(step, self.blocks, start, self.num_blocks, unroll=self.execution.unroll)
