"""A user's own parts in one file: transform, mixing, normalization, conditioner, dequantizer, data set and optimizer.

    python train.py --config=examples/own_parts.py --workdir=runs/own_parts
    realnvp --import examples/own_parts.py sample -w runs/own_parts

Each part is a small frozen object with parameters of its own, registered by one line, after which configs name it. The
model is a small Flow++ (Ho et al., 2019) on scikit-learn's digits, turned upside down.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import realnvp_jax
from realnvp_jax import EVALUATE, parameter, register
from realnvp_jax.configs import digits


@register("transform", "logistic_mixture")
class LogisticMixture(realnvp_jax.Transform):
    """z = logit(u) exp(a) + b with u = sum_k pi_k sigmoid((x - m_k) / s_k), the CDF of a mixture of logistics."""

    num_sigmoids: int = parameter(4, "components of the mixture", at_least=1)

    @property
    def parameters_per_dim(self) -> int:
        """a, b, and the weight, mean and scale of every component."""
        return 2 + 3 * self.num_sigmoids

    def _parameters(self, x, raw):
        raw = raw.reshape(*x.shape, self.parameters_per_dim)
        logits, means, log_scales = jnp.split(raw[..., 2:], 3, axis=-1)
        means = means + jnp.linspace(-2.0, 2.0, self.num_sigmoids, dtype=raw.dtype).reshape((1,) * x.ndim + (-1,))
        return jnp.tanh(raw[..., 0]), raw[..., 1], nn.log_softmax(logits), means, jnp.tanh(log_scales / 3) * 3

    def forward(self, x, raw):
        """Value and elementwise log-derivative."""
        a, b, log_weights, means, log_scales = self._parameters(x, raw)
        u = (x[..., None] - means) * jnp.exp(-log_scales)
        log_below = jax.nn.logsumexp(log_weights + jax.nn.log_sigmoid(u), axis=-1)
        log_above = jax.nn.logsumexp(log_weights + jax.nn.log_sigmoid(-u), axis=-1)
        log_density = log_weights + jax.nn.log_sigmoid(u) + jax.nn.log_sigmoid(-u) - log_scales
        log_derivative = jax.nn.logsumexp(log_density, axis=-1) - log_below - log_above + a
        return (log_below - log_above) * jnp.exp(a) + b, log_derivative

    def inverse(self, z, raw):
        """The root by bisection: x lies between the quantiles of the single components."""
        a, b, _, means, log_scales = self._parameters(z, raw)
        logit = ((z - b) * jnp.exp(-a))[..., None]
        ends = means + logit * jnp.exp(log_scales)

        def halve(_, bounds):
            low, high = bounds
            middle = (low + high) / 2
            is_below = self.forward(middle, raw)[0] < z
            return jnp.where(is_below, middle, low), jnp.where(is_below, high, middle)

        low, high = jax.lax.fori_loop(0, 80, halve, (ends.min(-1), ends.max(-1)))
        x = (low + high) / 2
        return x, -self.forward(x, raw)[1]


@register("mixing", "plain_conv1x1")
class PlainConv1x1(realnvp_jax.Bijection):
    """z = x W at every position of an image: an invertible 1x1 convolution without a factorization of W."""

    @nn.compact
    def _matrix(self, channels: int):
        rotation = nn.initializers.orthogonal()
        return self.param("matrix", rotation, (channels, channels), jnp.result_type(float))

    def _log_det(self, matrix, x):
        return jnp.broadcast_to(x.shape[1] * x.shape[2] * jnp.linalg.slogdet(matrix)[1], x.shape[:1])

    def forward(self, x, context=None, mode=EVALUATE):
        """Multiply."""
        matrix = self._matrix(x.shape[-1])
        return x @ matrix, self._log_det(matrix, x)

    def inverse(self, z, context=None):
        """Solve."""
        matrix = self._matrix(z.shape[-1])
        return z @ jnp.linalg.inv(matrix), -self._log_det(matrix, z)


@register("normalization", "whole_image_norm")
class WholeImageNorm(realnvp_jax.Normalization):
    """z = (x - m) / s with one trainable m and s for all channels, first set from a batch."""

    learns_mean = True

    @nn.compact
    def __call__(self, x, cells=None, mode=EVALUATE):
        """(m, log s)."""
        zeros = nn.initializers.zeros
        mean, log_std = self.param("mean", zeros, ()), self.param("log_std", zeros, ())
        if mode.initializes:
            moments = jnp.mean(x), jnp.mean(jnp.square(x))
            mean, square = moments if mode.axis_name is None else jax.lax.pmean(moments, mode.axis_name)
            log_std = 0.5 * jnp.log(square - jnp.square(mean) + 1e-6)
            self.put_variable("params", "mean", mean)
            self.put_variable("params", "log_std", log_std)
        return mean.reshape((1,) * x.ndim), log_std.reshape((1,) * x.ndim)


@register("conditioner", "gated_attention")
class GatedAttention(realnvp_jax.Conditioner):
    """Gated 3x3 convolutions, each followed by self-attention over all positions."""

    features: int = parameter(16, "channels of the residual stream, an even number", at_least=4)
    num_gates: int = parameter(1, "gated convolutions", at_least=1)

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform."""
        inputs = [identity, -identity]
        if cells is not None:
            inputs.append(jnp.broadcast_to(cells, (*identity.shape[:-1], 1)).astype(identity.dtype))
        if context is not None:
            inputs.append(jnp.broadcast_to(context[:, None, None], (*identity.shape[:-1], context.shape[-1])))
        h = nn.Conv(self.features, (3, 3))(nn.relu(jnp.concatenate(inputs, axis=-1)))
        for _ in range(self.num_gates):
            value, gate = jnp.split(nn.Conv(2 * self.features, (3, 3))(nn.elu(h)), 2, axis=-1)
            h = nn.LayerNorm()(h + value * nn.sigmoid(gate))
            positions = h.reshape(h.shape[0], -1, self.features)
            h = h + nn.MultiHeadDotProductAttention(num_heads=2)(positions).reshape(h.shape)
        return nn.Dense(self.out_features, kernel_init=nn.initializers.normal(0.01))(nn.elu(h))


@register("dequantizer", "conditional_noise")
class ConditionalNoise(realnvp_jax.Dequantizer):
    """u = sigmoid(e), where normal noise e goes through two affine couplings that see the pixels."""

    noise_channels: int = parameter(8, "channels of the dequantizer's network", at_least=1)
    scale_of_pixels: float = parameter(16.0, "what pixels are divided by", above=0)

    @nn.compact
    def __call__(self, x, key, indices, context=None, mode=EVALUATE):
        """(x + u, log q(u | x))."""
        pixels = x.astype(jnp.result_type(float))
        e = realnvp_jax.draw_each(jax.random.normal, key, indices, x.shape[1:], pixels.dtype)
        log_q = jnp.sum(jax.scipy.stats.norm.logpdf(e), axis=(1, 2, 3))
        for parity in range(2):
            cells = realnvp_jax.Checkerboard(parity).cells(x.shape)
            seen = jnp.concatenate([jnp.where(cells, e, 0), pixels / self.scale_of_pixels], axis=-1)
            h = nn.relu(nn.Conv(self.noise_channels, (3, 3))(seen))
            shift, log_scale = jnp.split(nn.Conv(2 * x.shape[-1], (3, 3), kernel_init=nn.initializers.zeros)(h), 2, -1)
            log_scale = jnp.where(cells, 0, jnp.tanh(log_scale))
            e = jnp.where(cells, e, e * jnp.exp(log_scale) + shift)
            log_q = log_q - jnp.sum(log_scale, axis=(1, 2, 3))
        log_q = log_q - jnp.sum(jax.nn.log_sigmoid(e) + jax.nn.log_sigmoid(-e), axis=(1, 2, 3))
        below = jnp.nextafter(pixels + 1, jnp.zeros((), pixels.dtype))
        return jnp.minimum(pixels + nn.sigmoid(e), below), log_q


@register("optimizer", "nadam")
@dataclasses.dataclass(frozen=True)
class Nadam(realnvp_jax.Optimizer):
    """optax.nadam."""

    beta1: float = parameter(0.9, "decay of the mean of the gradients", at_least=0, below=1)

    def transformation(self, schedule):
        """The optimizer at a learning rate."""
        return optax.nadam(schedule, b1=self.beta1)


@register("dataset", "upside_down_digits")
@dataclasses.dataclass(frozen=True)
class UpsideDownDigits(realnvp_jax.DataSet):
    """scikit-learn's digits, turned by 180 degrees, in an order that dataset.seed fixes."""

    seed: int = 0

    def load(self, split: str) -> realnvp_jax.Examples:
        """The one split "all"."""
        data = load_digits()
        order = np.random.default_rng(self.seed).permutation(len(data.images))
        images = data.images[order, ::-1, ::-1, None].astype(np.uint8)
        return realnvp_jax.Examples(images)


def get_config():
    """A small model of all of these."""
    config = digits.get_config()
    config.num_steps = 300
    config.batch_size = 32
    config.learning_rate = 4e-3
    config.optimizer.name = "nadam"
    config.optimizer.l2 = 0.0
    config.dataset.name = "upside_down_digits"
    config.model.name = "glow_flow"
    config.model.num_scales = 2
    config.model.num_steps = 2
    config.model.normalization = "whole_image_norm"
    config.model.transform = "logistic_mixture"
    config.model.mixing = "plain_conv1x1"
    config.model.conditioner = "gated_attention"
    config.model.dequantizer = "conditional_noise"
    with config.unlocked():
        config.model.features = 16  # a parameter of the conditioner, to be set on the command line as well
    config.checkpoint.every = config.evaluate.every = 100
    return config
