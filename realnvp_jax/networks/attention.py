"""Multi-head self-attention over the positions of an image (Vaswani et al., 2017), with learned position embeddings.

    a_i = sum_j softmax_j(q_i . k_j / sqrt(features of a head)) v_j,    (q, k, v) = dense(x)

`GatedAttention` is the attention of Flow++ (Ho et al., 2019). Time and memory grow with the square of the number of
positions.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.mode import Mode
from realnvp_jax.networks.dropout import dropout
from realnvp_jax.random import draw

MOST_POSITIONS = 4096  # 64x64; the weights of one head then take 64 MiB for each image, in float32

Positions = Float[Array, "n positions features"]


def check_heads(name: str, heads: int, features: int) -> None:
    """Raise ValueError unless a number of heads divides the features that they share."""
    if features % heads:
        near = max(1, round(features / heads)) * heads
        raise ValueError(f"expected {name} to divide the {features} features; got {heads}: try {near} features")


def check_positions(height: int, width: int, advice: str) -> None:
    """Raise ValueError, with this advice, if there are more positions than attention has memory for."""
    if height * width > MOST_POSITIONS:
        raise ValueError(
            f"expected at most {MOST_POSITIONS} positions (64x64) for attention, whose memory grows with their square; "
            f"got {height}x{width}: {advice}"
        )


def _normal(key: jax.Array, shape: tuple[int, ...], fan_in: int) -> jax.Array:
    """N(0, 1 / fan-in)."""
    return math.sqrt(1 / fan_in) * draw(jax.random.normal, key, shape, jnp.result_type(float))


class Dense(nn.Module):
    """A linear map of the last axis, in bfloat16 for an input of that dtype.

    Attributes:
      features: size of the last axis of the output.
      starts_at_zero: whether the kernel starts at zero, instead of at random.
    """

    features: int
    starts_at_zero: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "*n inputs"]) -> Float[Array, "*n features"]:
        """X W + b."""
        shape = x.shape[-1], self.features
        if self.starts_at_zero:
            kernel = self.param("kernel", nn.initializers.zeros, shape)
        else:
            kernel = self.param("kernel", _normal, shape, x.shape[-1])
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        dtype = x.dtype if x.dtype == jnp.bfloat16 else jnp.promote_types(x.dtype, kernel.dtype)
        y = x.astype(dtype) @ kernel.astype(dtype)
        return y + bias.astype(dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class PositionEmbedding(nn.Module):
    """A learned vector for every position, which is added to the input."""

    @nn.compact
    def __call__(self, x: Positions) -> Positions:
        """X with the vectors, which start at random: N(0, 1 / features)."""
        vectors = self.param("vectors", _normal, x.shape[1:], x.shape[-1])
        return x + vectors.astype(x.dtype)[None]


class SelfAttention(nn.Module):
    """Attention between all positions; no dense layer follows.

    Attributes:
      heads: number of heads, which divides the features.
    """

    heads: int
    hidden_kernels = ("query_key_value/kernel",)

    @nn.compact
    def __call__(self, x: Positions) -> Positions:
        """The weighted sums of values; the backward pass computes the weights again."""
        n, positions, features = x.shape
        of_heads = Dense(3 * features, name="query_key_value")(x)
        of_heads = of_heads.reshape(n, positions, 3 * self.heads, features // self.heads)
        return jax.checkpoint(_attend)(*jnp.split(of_heads, 3, axis=2)).reshape(x.shape)


class GatedAttention(nn.Module):
    """v sigmoid(g) with (v, g) = dense(attention(dense(silu(x)) + position embeddings)), for an image.

    Attributes:
      features: channels of the output.
      heads: number of heads, which divides the features.
      dropout: fraction of the attention's output that is set to zero in training.
    """

    features: int
    heads: int
    dropout: float = 0.0
    hidden_kernels = ("narrow/kernel", "gated/kernel")

    @nn.compact
    def __call__(self, x: Float[Array, "n height width _"], mode: Mode) -> Float[Array, "n height width features"]:
        """The gated values."""
        n, height, width, channels = x.shape
        check_positions(height, width, "set attention_heads=0, or squeeze the images first, as glow_flow does")
        h = Dense(self.features, name="narrow")(nn.silu(x.reshape(n, height * width, channels)))
        h = SelfAttention(self.heads, name="heads")(PositionEmbedding(name="positions")(h))
        h = Dense(2 * self.features, name="gated")(dropout(h, self.dropout, mode))
        value, gate = jnp.split(h.reshape(n, height, width, 2 * self.features), 2, axis=-1)
        return value * nn.sigmoid(gate)


def _attend(query: Array, key: Array, value: Array) -> Array:
    """All of shape [n, positions, heads, features of a head]; the softmax is at least in float32."""
    wide = jnp.promote_types(query.dtype, jnp.float32)
    logits = jnp.einsum("nihc,njhc->nhij", query, key, preferred_element_type=wide)
    weights = nn.softmax(logits / math.sqrt(query.shape[-1]), axis=-1).astype(value.dtype)
    return jnp.einsum("nhij,njhc->nihc", weights, value)
