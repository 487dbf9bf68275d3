"""Glow (Kingma and Dhariwal, 2018) as the second instance of the multi-scale architecture.

    squeeze; num_steps times ActNorm, invertible 1x1 convolution, coupling; half of the channels goes on

at every scale. The factored-out half is normal, with a mean and a log_scale that are computed from the half that goes
on; the last scale's latents are normal with a learned mean and log_scale.
"""

from collections.abc import Sequence
from typing import Any

from realnvp_jax.base import Normal
from realnvp_jax.bijections.bijection import Bijection, Chain
from realnvp_jax.bijections.coupling import coupling
from realnvp_jax.bijections.linear import InvertibleConv
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.prior import SplitPrior, TopPrior
from realnvp_jax.bijections.squeeze import Squeeze
from realnvp_jax.bijections.stack import MEMORY, Stack
from realnvp_jax.bijections.transforms import Affine, Transform
from realnvp_jax.copies import fresh_copy
from realnvp_jax.masks import Checkerboard, Halves, Mask
from realnvp_jax.models import arguments
from realnvp_jax.models.dequantizers import Dequantizer
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.multiscale import MultiScale, Scale
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.statistics import ActNorm, Normalization
from realnvp_jax.preprocessing import Logit
from realnvp_jax.registry import make_parts, parameter

MASKS = ("channels", "checkerboard", "both")


class Glow(MultiScale):
    """Glow's architecture (Kingma and Dhariwal, 2018).

    Every scale squeezes first. The factored-out half is normal, with a mean and a log_scale that are computed from the
    half that goes on; the top is normal with a learned mean and log_scale.

    Attributes:
      channels: channels of the images.
      num_scales: number of scales; height and width are multiples of 2^num_scales.
      num_steps: number of steps per scale.
      conditioner: conditioner of the first scale's coupling layers; its width doubles at each further scale.
      transform: what a coupling layer does to its transformed half.
      mixing: bijection before every coupling layer, which mixes channels.
      normalization: normalization before the mixing, and inside the conditioners.
      masks: halves of the coupling layers: channels, checkerboard (of alternating parity), or both, a channel-wise step
        and a checkerboard step in turn.
      memory: what training keeps for the backward pass of a step (of two steps with both masks), as in `Stack`.
      unroll: write out the steps one after the other instead of looping over them.
    """

    channels: int
    num_scales: int
    num_steps: int
    conditioner: Conditioner = ResNet()
    transform: Transform = Affine()
    mixing: Bijection = InvertibleConv()
    normalization: Normalization = ActNorm()
    masks: str = parameter("channels", "halves of the coupling layers", choices=MASKS)
    memory: str = parameter("store", "what training keeps for the backward pass of a layer", choices=MEMORY)
    unroll: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.masks == "both" and self.num_steps % 2:
            raise ValueError(
                "expected an even num_steps for masks='both', of which every other step has a checkerboard; "
                f"got {self.num_steps}"
            )

    def setup(self):
        """The steps of every scale, and the priors."""
        self.scales = [self._scale(k) for k in range(self.num_scales)]
        self.final = Chain()

    def _scale(self, k: int) -> Scale:
        steps = self._steps(k)
        if k == self.num_scales - 1:
            return Scale(squeeze=Squeeze(), behind=Chain((steps, TopPrior())))
        return Scale(squeeze=Squeeze(), behind=steps, factors_out=True, prior=SplitPrior())

    def _steps(self, k: int) -> Stack:
        """The steps of a scale: a loop over single steps, or over pairs of them with both masks."""
        masks: tuple[Mask, ...] = () if self.masks == "checkerboard" else (Halves(),)
        masks = masks if self.masks == "channels" else (*masks, Checkerboard())
        layer = Chain(tuple(layer for mask in masks for layer in self._step(k, mask)))
        length = self.num_steps // len(masks)
        parities = () if self.masks == "channels" else tuple(number % 2 for number in range(length))
        return Stack(layer, length, parities, self.memory, self.unroll)

    def _step(self, k: int, mask: Mask) -> tuple[Bijection, ...]:
        channels = self.channels * 2 ** (k + 2)
        size = mask.size_transformed(channels) if isinstance(mask, Halves) else channels
        layer = coupling(mask, self.conditioner.widened(2**k), self.transform, self.normalization, size)
        return Normalize(fresh_copy(self.normalization)), fresh_copy(self.mixing), layer.clone(normalization=None)


def glow_flow(
    event_shape: Sequence[int] = (32, 32, 3),
    num_scales: int = 3,
    num_steps: int = 8,
    base_features: int = 64,
    num_blocks: int = 2,
    levels: int = 256,
    alpha: float = 0.05,
    context: int | None = None,
    *,
    conditioner: str | Conditioner = "resnet",
    transform: str | Transform = "affine",
    mixing: str | Bijection = "conv1x1",
    normalization: str | Normalization = "act_norm",
    masks: str = "channels",
    dequantizer: str | Dequantizer = "uniform",
    memory: str = "store",
    unroll: bool = False,
    **options: Any,
) -> Flow:
    """Glow for images: logit of the squashed pixels, `Glow`, standard normal latents.

    Initialize with `flow.init(key, x)`, which sets ActNorm from a batch. Every part is an object or a registered name;
    `options` are the parameters of parts that are given by name.

    Args:
      event_shape: (height, width, channels).
      num_scales: number of scales; height and width are multiples of 2^num_scales.
      num_steps: number of steps per scale.
      base_features: channels of the first scale's conditioners, if given by name.
      num_blocks: residual blocks of every conditioner, if given by name.
      levels: number of values that a pixel can take.
      alpha: the logit acts on alpha + (1 - 2 alpha) x / levels, which alpha keeps away from 0 and 1.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      conditioner: network of the coupling layers.
      transform: transform of the coupling layers.
      mixing: mixing of the channels before every coupling layer: conv1x1 (starts as a rotation), conv1x1_plain (the
        same without a factorization), lu (starts as the identity), permutation (random, not trained) or reversal.
      normalization: normalization before the mixing and in the conditioners: act_norm, batch_norm or none.
      masks: halves of the coupling layers: channels, checkerboard, or both in turn, for which num_steps is even.
      dequantizer: how discrete pixels are made continuous.
      memory: what training keeps for the backward pass of a step, or of two steps with both masks: store, remat or
        invert (`Stack`).
      unroll: write out steps and residual blocks instead of looping over them; compiling takes many times longer.
      **options: parameters of parts, such as num_bins=8, or dtype="bfloat16" for the conditioners in training.

    Raises:
      TypeError: a part is neither a name nor an object of its kind.
      ValueError: a size is not positive, the scales do not divide the image, levels < 2, alpha not in [0, 0.5), a name
        is not registered, no part has one of the options, masks are unknown, or num_steps is odd with both masks.

    Example:
      >>> import realnvp_jax
      >>> flow = realnvp_jax.glow_flow((8, 8, 3), num_scales=2, num_steps=4, masks="both")
      >>> flow.event_shape, flow.levels
      ((8, 8, 3), 256)
    """
    shape = arguments.image_shape(event_shape)
    arguments.at_least(
        1, num_scales=num_scales, num_steps=num_steps, base_features=base_features, num_blocks=num_blocks
    )
    arguments.check_divisible(shape, num_scales, num_scales)
    parts = make_parts(
        {
            "conditioner": ("conditioner", conditioner, Conditioner),
            "transform": ("transform", transform, Transform),
            "mixing": ("mixing", mixing, Bijection),
            "normalization": ("normalization", normalization, Normalization),
            "dequantizer": ("dequantizer", dequantizer, Dequantizer),
        },
        options,
        {"base_features": base_features, "num_blocks": num_blocks, "unroll": unroll, "levels": levels},
    )
    chosen_dequantizer = parts.pop("dequantizer")
    return Flow(
        event_shape=shape,
        bijection=Glow(shape[2], num_scales, num_steps, **parts, masks=masks, memory=memory, unroll=unroll),
        base=Normal(),
        preprocessing=Logit(levels, alpha),
        levels=levels,
        context_size=arguments.context_size(context),
        dequantizer=chosen_dequantizer,
    )
