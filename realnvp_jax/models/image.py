"""`image_flow`: the paper's model of images, from pixels to a normal latent."""

from collections.abc import Sequence

from realnvp_jax.base import Normal
from realnvp_jax.bijections.transforms import TransformSpec
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.real_nvp import IMAGE_MASKS, RealNVP
from realnvp_jax.networks.execution import Execution
from realnvp_jax.networks.normalization import NormalizationSpec
from realnvp_jax.preprocessing import Logit


def image_flow(
    event_shape: Sequence[int] = (32, 32, 3),
    num_scales: int = 2,
    base_features: int = 64,
    num_blocks: int = 8,
    levels: int = 256,
    alpha: float = 0.05,
    context: int | None = None,
    *,
    transform: str = "affine",
    num_bins: int = 8,
    tail_bound: float = 5.0,
    normalization: str = "batch_norm",
    batch_norm_lag: float = 0.0,
    masks: str = "checkerboard",
    memory: str = "store",
    dtype: str = "float32",
    unroll: bool = False,
) -> Flow:
    """RealNVP for images: logit of the squashed pixels, `RealNVP`, standard normal latents.

    The defaults are the paper's CIFAR-10 model, 19,609,545 trainable parameters.

    Args:
      event_shape: (height, width, channels).
      num_scales: levels of the multi-scale architecture.
      base_features: channels of the first scale's conditioners.
      num_blocks: residual blocks of every conditioner.
      levels: number of values that a pixel can take.
      alpha: the squash keeps alpha + (1 - 2 alpha) x / levels, on which the logit acts, off 0 and 1.
      context: width of the context of a conditional density, None or 0 for an unconditional one.
      transform: of the couplings: affine, additive (NICE, with its final diagonal scaling), or spline.
      num_bins: bins of a spline.
      tail_bound: a spline acts on [-tail_bound, tail_bound], in logit space.
      normalization: behind the couplings and in the conditioners: batch_norm, act_norm (then initialise with
        `flow.init(key, x)`), or none.
      batch_norm_lag: weight of the running statistics in training; 0 is plain batch norm (Section 3.7 of the paper).
      masks: checkerboard, or halves of the image, a bad choice to compare with.
      memory: what training keeps for the backward pass of a coupling: store, remat or invert (`Execution`).
      dtype: of the conditioners in training, float32 or bfloat16; densities and samples are always float32.
      unroll: couplings and residual blocks one after the other instead of in loops, which compile many times faster.

    Raises:
      ValueError: a size is not positive, the scales do not divide the image, levels < 2, alpha not in [0, 0.5), or a
        choice is unknown.
    """
    shape = arguments.image_shape(event_shape)
    arguments.at_least(1, num_scales=num_scales, base_features=base_features, num_blocks=num_blocks)
    divisor = 2 ** (num_scales - 1)
    if shape[0] % divisor or shape[1] % divisor:
        raise ValueError(
            f"expected height and width divisible by {divisor} for num_scales={num_scales}; got {shape[0]}x{shape[1]}: "
            "use fewer scales, or crop or pad the images"
        )
    if levels < 2:
        raise ValueError(f"expected at least 2 levels; got {levels}")
    if not 0 <= alpha < 0.5:
        raise ValueError(f"expected alpha in [0, 0.5); got {alpha}")
    arguments.one_of("masks of images", masks, IMAGE_MASKS)
    return Flow(
        event_shape=shape,
        bijection=RealNVP(
            shape[2],
            num_scales,
            base_features,
            num_blocks,
            TransformSpec(transform, num_bins, tail_bound),
            NormalizationSpec(normalization, batch_norm_lag),
            masks,
            Execution(memory, dtype, unroll),
        ),
        base=Normal(),
        preprocessing=Logit(levels, alpha),
        levels=levels,
        context_size=arguments.context_size(context),
    )
