"""A conditioner of images: a vision transformer (Dosovitskiy et al., 2021), as in Jet (Kolesnikov et al., 2024).

    x = dense(patches) + position embeddings
    x = x + dense(attention(norm(x))),    x = x + dense(gelu(dense(norm(x))))        vit_blocks times

and the output is a dense layer of norm(x), which starts at zero. The sums and the layer norms are in float32.
"""

import flax.linen as nn
import jax.numpy as jnp
from einops import rearrange

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.networks.attention import (
    Dense,
    PositionEmbedding,
    Positions,
    SelfAttention,
    check_heads,
    check_positions,
)
from realnvp_jax.networks.conditioner import Conditioner, image_inputs
from realnvp_jax.networks.dropout import dropout
from realnvp_jax.networks.loop import loop_over
from realnvp_jax.registry import parameter, register


class Block(nn.Module):
    """Attention between positions and a two-layer perceptron at each, both added to their normalized input.

    Attributes:
      heads: number of heads.
      dropout: fraction of what is added that is set to zero in training.
      dtype: dtype of both in training, float32 or bfloat16.
    """

    heads: int
    dropout: float
    dtype: str
    hidden_kernels = ("attention_out/kernel", "mlp_in/kernel", "mlp_out/kernel")

    @nn.compact
    def __call__(self, x: Positions, mode: Mode) -> Positions:
        """The sums."""
        h = SelfAttention(self.heads, name="attention")(self._normalized(x, "norm_attention", mode))
        h = Dense(x.shape[-1], name="attention_out")(h)
        x = x + dropout(h, self.dropout, mode.at(0)).astype(x.dtype)
        h = Dense(4 * x.shape[-1], name="mlp_in")(self._normalized(x, "norm_mlp", mode))
        h = Dense(x.shape[-1], name="mlp_out")(nn.gelu(h))
        return x + dropout(h, self.dropout, mode.at(1)).astype(x.dtype)

    def _normalized(self, x: Positions, name: str, mode: Mode) -> Positions:
        h = nn.LayerNorm(name=name)(x)
        return h.astype(jnp.bfloat16) if mode.trains and self.dtype == "bfloat16" else h


@register("conditioner", "vit")
class ViT(Conditioner):
    """A vision transformer from the identity half of an image to the parameters of the transformed half.

    A patch of vit_patch x vit_patch positions becomes one position of the transformer. The width is the same at every
    scale. The output starts at zero, so that a coupling layer starts as the transform with its parameters at zero.
    """

    vit_features: int = parameter(128, "features of every position of the conditioner vit", at_least=1)
    vit_blocks: int = parameter(2, "blocks of attention and perceptron of the conditioner vit", at_least=1)
    vit_heads: int = parameter(4, "heads of the attention of the conditioner vit", at_least=1)
    vit_patch: int = parameter(1, "height and width of the patches of the conditioner vit", at_least=1)
    dropout: float = parameter(0.0, "fraction of a conditioner's activations that training drops", at_least=0, below=1)
    dtype: str = parameter(
        "float32", "dtype of the conditioners in training; densities are float32", choices=("float32", "bfloat16")
    )
    unroll: bool = parameter(False, "write out the blocks instead of looping over them; compiling takes far longer")

    def __post_init__(self):
        super().__post_init__()
        check_heads("vit_heads", self.vit_heads, self.vit_features)

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform; a mask over cells and the context are further input channels."""
        if identity.ndim != 4:
            raise ValueError(f"expected images for the conditioner 'vit'; got the shape {identity.shape}: use 'mlp'")
        (height, width), size = identity.shape[1:3], self.vit_patch
        if height % size or width % size:
            raise ValueError(f"expected vit_patch to divide the {height}x{width} positions of a scale; got {size}")
        rows, columns = height // size, width // size
        check_positions(rows, columns, "use a larger vit_patch, or the conditioner 'resnet' or 'gated_dense'")
        inputs = image_inputs(identity, cells, context)
        patches = rearrange(inputs, "n (h i) (w j) c -> n (h w) (i j c)", i=size, j=size)
        x = PositionEmbedding(name="positions")(Dense(self.vit_features, name="patches")(patches))
        block = Block(self.vit_heads, self.dropout, self.dtype, name="blocks")
        x = loop_over(lambda block, x, number: block(x, mode.at(number)), block, x, self.vit_blocks, unroll=self.unroll)
        x = nn.LayerNorm(name="norm_out")(x)
        out = Dense(size * size * self.out_features, starts_at_zero=True, name="out")(x)
        return rearrange(out, "n (h w) (i j c) -> n (h i) (w j) c", h=rows, i=size, j=size)
