"""The conditioner of the image model: a weight-normalised residual network with skip connections.

It is the paper's convolutional network (Section 4.1, with residual blocks, skip connections, batch
normalisation and weight normalisation) in the exact form of the authors' code: one network gives shift and
log_scale, gains stand only on the convolutions that write into the residual stream or the output, batch
normalisation has an offset and no gain, and the input is batch-normalised and split into its positive and
negative parts. ActNorm or nothing can take the place of batch normalisation.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from realnvp_jax.networks.convolution import convolve, convolve_for_training
from realnvp_jax.networks.normalization import NormalizationSpec, NormalizeWithOffset
from realnvp_jax.random import draw


def _weight_init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Uniform with standard deviation proportional to sqrt(1 / fan-in channels); its scale is normalised away."""
    bound = np.sqrt(2 / shape[-2])
    return draw(jax.random.uniform, key, shape, minval=-bound, maxval=bound)


class WeightNormConv(nn.Module):
    """Convolution with kernel gain * W / ||W||, the norm taken over each output channel (SAME padding).

    Attributes:
      features: number of output channels.
      kernel_size: height and width of the kernel.
      use_bias: whether a bias is added.
      use_gain: whether a trainable gain multiplies the normalised weights; it starts at kernel_size / sqrt(6).
    """

    features: int
    kernel_size: int
    use_bias: bool = True
    use_gain: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width channels"], *, train: bool
    ) -> Float[Array, "n height width features"]:
        """Convolve."""
        size = self.kernel_size
        weights = self.param("weights", _weight_init, (size, size, x.shape[-1], self.features))
        kernel = weights * jax.lax.rsqrt(jnp.sum(jnp.square(weights), axis=(0, 1, 2), keepdims=True))
        if self.use_gain:
            gain = self.param("gain", nn.initializers.constant(size / np.sqrt(6)), (self.features,))
            kernel = kernel * gain.reshape(1, 1, 1, -1)
        dtype = jnp.promote_types(x.dtype, kernel.dtype)
        y = (convolve_for_training if train else convolve)(x.astype(dtype), kernel.astype(dtype))
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,))
            y = y + bias.reshape(1, 1, 1, -1)
        return y


class ResidualBlock(nn.Module):
    """Normalisation, relu, 3x3 convolution, twice, in front of an addition (He et al. 2016, pre-activation)."""

    normalization: NormalizationSpec

    @nn.compact
    def __call__(
        self, x: Float[Array, "n height width channels"], *, train: bool, axis_name: str | None
    ) -> Float[Array, "n height width channels"]:
        """The residual alone."""
        features = x.shape[-1]
        h = nn.relu(NormalizeWithOffset(self.normalization, name="norm_in")(x, train=train, axis_name=axis_name))
        h = WeightNormConv(features, 3, use_bias=False, name="conv_in")(h, train=train)
        h = nn.relu(NormalizeWithOffset(self.normalization, name="norm_out")(h, train=train, axis_name=axis_name))
        return WeightNormConv(features, 3, use_gain=True, name="conv_out")(h, train=train)


class ResNet(nn.Module):
    """Residual network from the identity half of an image to the parameters of the transformed half.

    Attributes:
      features: channels of the residual stream.
      num_blocks: number of residual blocks.
      out_channels: channels of the output, (parameters per dimension) x (channels of the transformed half).
      normalization: in front of every relu and of the input.
    """

    features: int
    num_blocks: int
    out_channels: int
    normalization: NormalizationSpec = NormalizationSpec()

    @nn.compact
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
        h = NormalizeWithOffset(self.normalization, name="norm_in")(identity, train=train, axis_name=axis_name)
        if cells is not None:
            h = 2 * h  # half of the cells are zero
        inputs = [nn.relu(h), nn.relu(-h)]
        if cells is not None:
            inputs.append(jnp.broadcast_to(cells, (*h.shape[:-1], 1)).astype(h.dtype))
        if context is not None:
            inputs.append(jnp.broadcast_to(context[:, None, None, :], (*h.shape[:-1], context.shape[-1])))
        stream = WeightNormConv(self.features, 3, name="conv_in")(jnp.concatenate(inputs, axis=-1), train=train)
        out = WeightNormConv(self.features, 1, use_gain=True, name="skip_in")(stream, train=train)
        for i in range(self.num_blocks):
            stream = stream + ResidualBlock(self.normalization, name=f"block_{i}")(
                stream, train=train, axis_name=axis_name
            )
            out = out + WeightNormConv(self.features, 1, use_gain=True, name=f"skip_{i}")(stream, train=train)
        out = nn.relu(NormalizeWithOffset(self.normalization, name="norm_out")(out, train=train, axis_name=axis_name))
        return WeightNormConv(self.out_channels, 1, use_gain=True, name="conv_out")(out, train=train)
