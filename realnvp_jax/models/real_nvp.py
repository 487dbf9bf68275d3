"""RealNVP for images: the multi-scale architecture of the paper (Sections 3.4 to 3.6 and 4.1).

At every scale but the last, with C channels and width w:

    3 checkerboard couplings (width w)
    squeeze, 3 channel-wise couplings (width 2w), unsqueeze
    the squeeze that puts the diagonal first; the first half of the channels goes on to the next scale (half the size,
    2C channels, 2w), the second half is factored out

and the last scale is 4 checkerboard couplings.

Coupling layers of one shape run in a loop, and so do the residual blocks of their conditioners: at any depth, two
scales compile only three loop bodies with one block each.
"""

from collections.abc import Sequence
from typing import Any

from realnvp_jax.base import Base
from realnvp_jax.bijections.bijection import Chain
from realnvp_jax.bijections.coupling import coupling
from realnvp_jax.bijections.linear import DiagonalScaling
from realnvp_jax.bijections.squeeze import Squeeze, SqueezeDiagonal, Unsqueeze
from realnvp_jax.bijections.stack import MEMORY, Stack
from realnvp_jax.bijections.transforms import Affine, Transform
from realnvp_jax.masks import CellMask, Checkerboard, Halves, Mask
from realnvp_jax.models import arguments
from realnvp_jax.models.dequantizers import Dequantizer
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.multiscale import MultiScale, Scale
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.statistics import BatchNorm, Normalization
from realnvp_jax.preprocessing import Logit
from realnvp_jax.registry import make_parts, parameter


class RealNVP(MultiScale):
    """The paper's architecture (Section 4.1), in the exact form of its authors' code.

    Attributes:
      channels: channels of the images.
      num_scales: number of scales; height and width are multiples of 2^(num_scales - 1).
      conditioner: conditioner of the first scale's coupling layers; its width doubles at each further scale and for
        channel-wise layers.
      transform: what a coupling layer does to its transformed half. A diagonal scaling of the latent follows
        volume-preserving transforms, as in NICE.
      normalization: normalization after every coupling layer, and inside the conditioners.
      masks: masks of the layers that are not channel-wise.
      memory: what training keeps for the backward pass of a coupling layer, as in `Stack`.
      unroll: write out coupling layers one after the other instead of looping over them.
      channel_masks: masks of the channel-wise layers; its parity, like that of `masks`, is that of the first layer.
    """

    channels: int
    num_scales: int
    conditioner: Conditioner = ResNet()
    transform: Transform = Affine()
    normalization: Normalization = BatchNorm()
    masks: CellMask = Checkerboard()
    memory: str = parameter("store", "what training keeps for the backward pass of a layer", choices=MEMORY)
    unroll: bool = False
    channel_masks: Halves = Halves()

    def setup(self):
        """The coupling layers of every scale, and the final scaling of volume-preserving ones."""
        self.scales = [self._scale(k) for k in range(self.num_scales)]
        self.final = DiagonalScaling() if self.transform.preserves_volume else Chain()

    def _scale(self, k: int) -> Scale:
        channels, width = self.channels * 2**k, 2**k
        if k == self.num_scales - 1:
            return Scale(self._stack(4, self.masks, width, channels))
        checkerboard = self._stack(3, self.masks, width, channels)
        channel_wise = self._stack(3, self.channel_masks, 2 * width, 2 * channels)
        before = Chain((checkerboard, Squeeze(), channel_wise, Unsqueeze()))
        return Scale(before, SqueezeDiagonal(), factors_out=True)

    def _stack(self, num_layers: int, mask: Mask, width: int, transformed_channels: int) -> Stack:
        """Coupling layers of one shape, with alternating parity."""
        transform = self.transform.placed(
            in_cells=isinstance(mask, CellMask), before_batch_norm=self.normalization.removes_offset
        )
        layer = coupling(mask, self.conditioner.widened(width), transform, self.normalization, transformed_channels)
        places = tuple((mask.parity + number) % mask.num_parities for number in range(num_layers))
        return Stack(layer, num_layers, places, self.memory, self.unroll)


def image_flow(
    event_shape: Sequence[int] = (32, 32, 3),
    num_scales: int = 2,
    base_features: int = 64,
    num_blocks: int = 8,
    levels: int = 256,
    alpha: float = 0.05,
    context: int | None = None,
    *,
    conditioner: str | Conditioner = "resnet",
    transform: str | Transform = "affine",
    normalization: str | Normalization = "batch_norm",
    masks: str | CellMask = "checkerboard",
    base: str | Base = "normal",
    dequantizer: str | Dequantizer = "uniform",
    memory: str = "store",
    unroll: bool = False,
    **options: Any,
) -> Flow:
    """RealNVP for images: logit of the squashed pixels, `RealNVP`, standard normal latents.

    The defaults are the paper's CIFAR-10 model with 19,609,545 trainable parameters. Every part is an object or a
    registered name; `options` are the parameters of parts that are given by name.

    Args:
      event_shape: (height, width, channels).
      num_scales: scales of the multi-scale architecture.
      base_features: channels of the first scale's conditioners, if given by name.
      num_blocks: residual blocks of every conditioner, if given by name.
      levels: number of values that a pixel can take.
      alpha: the logit acts on alpha + (1 - 2 alpha) x / levels, which alpha keeps away from 0 and 1.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      conditioner: network of the coupling layers.
      transform: transform of the coupling layers: affine, additive (NICE, with its final diagonal scaling), spline or
        mixture_affine.
      normalization: after the coupling layers and in the conditioners: batch_norm, act_norm (then initialize with
        `flow.init(key, x)`), or none.
      masks: checkerboard; or, for comparison, halves of the image (a bad choice) or random cells.
      base: distribution of the latents.
      dequantizer: how discrete pixels are made continuous.
      memory: what training keeps for the backward pass of a coupling layer: store, remat or invert (`Stack`).
      unroll: write out coupling layers and residual blocks instead of looping over them; compiling takes many times
        longer.
      **options: parameters of parts, such as num_bins=8, batch_norm_lag=0.9, or dtype="bfloat16" (of the conditioners
          in training).

    Raises:
      TypeError: a part is neither a name nor an object of its kind.
      ValueError: a size is not positive, the scales do not divide the image, levels < 2, alpha not in [0, 0.5), a name
        is not registered, or no part has one of the options.

    Example:
      >>> import jax, numpy as np, realnvp_jax
      >>> flow = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=4, num_blocks=1, levels=17)
      >>> params = flow.init(jax.random.key(0))
      >>> pixels = np.zeros((3, 4, 4, 1), np.uint8)
      >>> flow.bits_per_dim(params, jax.random.key(1), pixels).shape
      (3,)
    """
    shape = arguments.image_shape(event_shape)
    arguments.at_least(1, num_scales=num_scales, base_features=base_features, num_blocks=num_blocks)
    arguments.check_divisible(shape, num_scales - 1, num_scales)
    parts = make_parts(
        {
            "conditioner": ("conditioner", conditioner, Conditioner),
            "transform": ("transform", transform, Transform),
            "normalization": ("normalization", normalization, Normalization),
            "masks": ("image_mask", masks, CellMask),
            "base": ("base", base, Base),
            "dequantizer": ("dequantizer", dequantizer, Dequantizer),
        },
        options,
        {"base_features": base_features, "num_blocks": num_blocks, "unroll": unroll, "levels": levels},
    )
    outside = {"base": parts.pop("base"), "dequantizer": parts.pop("dequantizer")}
    return Flow(
        event_shape=shape,
        bijection=RealNVP(shape[2], num_scales, **parts, memory=memory, unroll=unroll),
        preprocessing=Logit(levels, alpha),
        levels=levels,
        context_size=arguments.context_size(context),
        **outside,
    )
