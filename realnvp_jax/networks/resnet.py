"""The conditioner of the image model: a weight-normalized residual network with skip connections.

It is the paper's convolutional network (Section 4.1, with residual blocks, skip connections, batch normalization and
weight normalization) in the exact form of the authors' code: one network gives shift and log_scale, only the
convolutions that write into the residual stream or the output have gains, batch normalization has an offset and no
gain, and the input is batch-normalized and split into its positive and negative parts.

The residual blocks run in a loop over parameters with a leading axis, which compiles as fast as one block.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Float

from realnvp_jax.copies import fresh_copy
from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.conditioner import Conditioner, image_inputs
from realnvp_jax.networks.loop import loop_over
from realnvp_jax.networks.normalized import NormalizedInput
from realnvp_jax.networks.statistics import BatchNorm, Normalization
from realnvp_jax.networks.weight_norm import WeightNormConv
from realnvp_jax.registry import parameter, register

Stream = Float[Array, "n height width channels"]

_SAVED = "output of a convolution"
_SAVE_NAMED = jax.checkpoint_policies.save_only_these_names(_SAVED)


class ResidualBlock(nn.Module):
    """A skip connection from the stream to the output, and a residual that is added to the stream.

    The residual is normalization, relu, 3x3 convolution, twice (He et al. 2016, pre-activation). With `all_gains`, the
    normalizations and the first of these convolutions have gains as well.
    """

    features: int
    normalization: Normalization
    all_gains: bool = False
    hidden_kernels = ("skip/weights", "conv_in/weights", "conv_out/weights")

    def setup(self):
        """The layers."""
        bias_cancels = self.normalization.subtracts_batch_mean  # both outputs are normalized before they are used
        self.skip = WeightNormConv(self.features, 1, use_gain=True, bias_cancels=bias_cancels)
        self.norm_in = NormalizedInput(fresh_copy(self.normalization), self.all_gains)
        self.conv_in = WeightNormConv(self.features, 3, use_bias=False, use_gain=self.all_gains)
        self.norm_out = NormalizedInput(fresh_copy(self.normalization), self.all_gains)
        self.conv_out = WeightNormConv(self.features, 3, use_gain=True, bias_cancels=bias_cancels)

    def __call__(self, stream: Stream, out: Stream, mode: Mode) -> tuple[Stream, Stream]:
        """(stream, out)."""
        h = self.conv_in(nn.relu(self.norm_in(stream, mode)), mode)
        h = checkpoint_name(h, _SAVED)
        h = self.conv_out(nn.relu(self.norm_out(h, mode)), mode)
        return stream + h, out + self.skip(stream, mode)


@register("conditioner", "resnet")
class ResNet(Conditioner):
    """Residual network from the identity half of an image to the parameters of the transformed half.

    A training pass keeps two arrays per block: the stream, and the output of the first 3x3 convolution. Normalizations
    and relus are recomputed in the backward pass.
    """

    base_features: int = parameter(64, "channels of a conditioner's hidden layers at the first scale", at_least=1)
    num_blocks: int = parameter(8, "residual blocks, or densely connected layers, of every conditioner", at_least=1)
    dtype: str = parameter(
        "float32", "dtype of the conditioners in training; densities are float32", choices=("float32", "bfloat16")
    )
    unroll: bool = parameter(False, "write out the blocks instead of looping over them; compiling takes far longer")
    hidden_kernels = ("skip_out/weights",)  # and those of the blocks
    all_gains = False  # whether every convolution and normalization has a gain
    sees_cells = True  # whether a mask over cells is an input channel

    @property
    def own_normalization(self) -> Normalization:
        """The normalization of the network's layers: that of the whole model."""
        return self.normalization

    def widened(self, factor: int) -> "ResNet":
        """The network with `factor` times as many features."""
        return fresh_copy(self, base_features=factor * self.base_features)

    def setup(self):
        """The layers; `blocks` has parameters with a leading axis for the block."""
        normalization, gains = self.own_normalization, self.all_gains
        self.norm_in = NormalizedInput(fresh_copy(normalization), gains)
        bias_cancels = normalization.subtracts_batch_mean  # of all biases but the last
        self.conv_in = WeightNormConv(self.base_features, 3, use_gain=gains, bias_cancels=bias_cancels)
        self.blocks = ResidualBlock(self.base_features, fresh_copy(normalization), gains)
        self.skip_out = WeightNormConv(self.base_features, 1, use_gain=True, bias_cancels=bias_cancels)
        self.norm_out = NormalizedInput(fresh_copy(normalization), gains)
        self.conv_out = WeightNormConv(self.out_features, 1, use_gain=True)

    def _save_named(self, body: Any) -> Any:
        return jax.checkpoint(body, policy=_SAVE_NAMED, prevent_cse=self.unroll)

    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform; a mask over cells and the context are further input channels."""
        if identity.ndim != 4:
            raise ValueError(f"expected images for the conditioner 'resnet'; got the shape {identity.shape}: use 'mlp'")
        h = self.norm_in(identity, mode)
        if cells is not None:
            h = 2 * h  # compensates that half of the cells are zero
        signs = jnp.concatenate([nn.relu(h), nn.relu(-h)], axis=-1)
        h = image_inputs(signs, cells if self.sees_cells else None, context)
        if mode.trains and self.dtype == "bfloat16":
            h = h.astype(jnp.bfloat16)
        stream = self.conv_in(h, mode)
        stream, out = loop_over(
            lambda block, value, _: block(*value, mode),
            self.blocks,
            (stream, jnp.zeros_like(stream)),
            self.num_blocks,
            unroll=self.unroll,
            wrap=self._save_named if mode.trains else lambda body: body,
        )
        out = out + self.skip_out(stream, mode)
        out = nn.relu(self.norm_out(out, mode))
        return self.conv_out(out.astype(identity.dtype), mode)  # the last projection is not in bfloat16


@register("conditioner", "gained_resnet")
class GainedResNet(ResNet):
    """The network as the most widely used PyTorch port of RealNVP has it (chrischute/real-nvp).

    It differs from `ResNet` in three ways: every convolution and every normalization has a gain; the mask is not an
    input channel; and its normalization is batch normalization, whatever follows the coupling layers (in that port,
    nothing).
    """

    all_gains = True
    sees_cells = False

    @property
    def own_normalization(self) -> Normalization:
        """Batch normalization with PyTorch's epsilon."""
        return BatchNorm(epsilon=1e-5)
