"""RealNVP for images: the multi-scale architecture (Sections 3.4 to 3.6 and 4.1 of the paper).

At every scale but the last, with C channels and width w:

    3 checkerboard couplings (width w)
    squeeze, 3 channel-wise couplings (width 2w), unsqueeze
    squeeze_diagonal; the first half of the channels goes on to the next scale (half the size, 2C channels, 2w),
    the second half is factored out

and the last scale is 4 checkerboard couplings. The factored-out halves return to where they were taken from, so
the latent has the shape of the image.

Couplings of one shape are a loop, and so are the residual blocks of their conditioners: three bodies of one block for
two scales, whatever the depth.

Variants to compare with: other transforms (additive couplings end in a diagonal scaling of the latent, as in NICE),
other normalisation, and halves of the image in place of the checkerboard.
"""

import jax.numpy as jnp

from realnvp_jax.bijections.bijection import Bijection, forward_through, inverse_through
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.create import create_normalization
from realnvp_jax.bijections.linear import DiagonalScaling
from realnvp_jax.bijections.squeeze import Squeeze, Unsqueeze
from realnvp_jax.bijections.stack import CouplingStack
from realnvp_jax.bijections.transforms import TransformSpec
from realnvp_jax.masks import Checkerboard, Halves, ImageHalves, Mask
from realnvp_jax.networks.execution import Execution
from realnvp_jax.networks.normalization import NormalizationSpec
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.squeeze import squeeze_diagonal, unsqueeze_diagonal

IMAGE_MASKS = ("checkerboard", "halves")


class RealNVP(Bijection):
    """The paper's multi-scale architecture, from logit space to latents of the image's shape.

    Attributes:
      channels: channels of the images.
      num_scales: levels of the multi-scale architecture; height and width are multiples of 2^(num_scales - 1).
      base_features: channels of the conditioners at the first scale, doubled at each further scale and for
        channel-wise couplings.
      num_blocks: residual blocks of each conditioner.
      transform: what a coupling does to its transformed half.
      normalization: behind every coupling and inside of the conditioners.
      masks: of the couplings that are not channel-wise: checkerboard, or halves (top, bottom, left, right).
      execution: how training passes are carried out.
    """

    channels: int
    num_scales: int
    base_features: int
    num_blocks: int
    transform: TransformSpec = TransformSpec()
    normalization: NormalizationSpec = NormalizationSpec()
    masks: str = "checkerboard"
    execution: Execution = Execution()

    def setup(self):
        """The couplings of every scale, and the final scaling of additive ones."""
        self.scales = [
            Scale(
                channels=self.channels * 2**k,
                features=self.base_features * 2**k,
                num_blocks=self.num_blocks,
                is_last=k == self.num_scales - 1,
                transform=self.transform,
                normalization=self.normalization,
                masks=self.masks,
                execution=self.execution,
            )
            for k in range(self.num_scales)
        ]
        self.scaling = DiagonalScaling() if self.transform.kind == "additive" else None

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Logit space to latent."""
        log_det = jnp.zeros(x.shape[:1], x.dtype)
        factored_out = []
        for scale in self.scales:
            x, scale_log_det = scale.forward(x, context, train=train, axis_name=axis_name)
            log_det = log_det + scale_log_det
            if scale is not self.scales[-1]:
                x, latent = jnp.split(squeeze_diagonal(x), 2, axis=-1)
                factored_out.append(latent)
        for latent in reversed(factored_out):
            x = unsqueeze_diagonal(jnp.concatenate([x, latent], axis=-1))
        if self.scaling is not None:
            x, scaling_log_det = self.scaling.forward(x)
            log_det = log_det + scaling_log_det
        return x, log_det

    def inverse(self, z, context=None):
        """Latent to logit space."""
        log_det = jnp.zeros(z.shape[:1], z.dtype)
        if self.scaling is not None:
            z, log_det = self.scaling.inverse(z)
        factored_out = []
        for _ in self.scales[1:]:
            z, latent = jnp.split(squeeze_diagonal(z), 2, axis=-1)
            factored_out.append(latent)
        for scale in reversed(self.scales):
            if scale is not self.scales[-1]:
                z = unsqueeze_diagonal(jnp.concatenate([z, factored_out.pop()], axis=-1))
            z, scale_log_det = scale.inverse(z, context)
            log_det = log_det + scale_log_det
        return z, log_det


class Scale(Bijection):
    """The couplings of one scale; parity alternates from layer to layer.

    Attributes:
      channels: channels of the input.
      features: channels of the checkerboard couplings' conditioners; channel-wise ones have twice as many.
      num_blocks: residual blocks of each conditioner.
      is_last: whether this is the last scale, four checkerboard couplings and nothing else.
      transform, normalization, masks, execution: as in `RealNVP`.
    """

    channels: int
    features: int
    num_blocks: int
    is_last: bool
    transform: TransformSpec = TransformSpec()
    normalization: NormalizationSpec = NormalizationSpec()
    masks: str = "checkerboard"
    execution: Execution = Execution()

    def setup(self):
        """Three or four checkerboard couplings, and three channel-wise ones unless this is the last scale."""
        cell_mask = Checkerboard(0) if self.masks == "checkerboard" else ImageHalves(0)
        checkerboard = self._coupling(cell_mask, self.features, self.channels, initial_scale=0.0)
        self.checkerboard = CouplingStack(checkerboard, 4 if self.is_last else 3, self.execution)
        if self.is_last:
            return
        self.squeeze = Squeeze()
        channel_wise = self._coupling(Halves(0), 2 * self.features, 2 * self.channels, initial_scale=1.0)
        self.channel_wise = CouplingStack(channel_wise, 3, self.execution)
        self.unsqueeze = Unsqueeze()

    def _coupling(self, mask: Mask, features: int, transformed_channels: int, initial_scale: float) -> Coupling:
        has_offset = self.normalization.kind != "batch_norm"
        transform = self.transform.create(initial_scale=initial_scale, has_offset=has_offset)
        out_channels = transform.parameters_per_dim * transformed_channels
        return Coupling(
            mask=mask,
            conditioner=ResNet(features, self.num_blocks, out_channels, self.normalization, self.execution),
            transform=transform,
            normalization=create_normalization(self.normalization, mask),
        )

    @property
    def layers(self) -> tuple[Bijection, ...]:
        """The layers in the order of `forward`."""
        if self.is_last:
            return (self.checkerboard,)
        return (self.checkerboard, self.squeeze, self.channel_wise, self.unsqueeze)

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        return forward_through(self.layers, x, context, train=train, axis_name=axis_name)

    def inverse(self, z, context=None):
        """Latent to data."""
        return inverse_through(self.layers, z, context)
