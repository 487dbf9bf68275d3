"""The conditioner of vectors: a multi-layer perceptron."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnvp_jax.random import draw

ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh, "silu": nn.silu, "gelu": nn.gelu}


def _he_normal(key: jax.Array, shape: tuple[int, ...], dtype=None) -> jax.Array:
    """N(0, 2 / fan-in)."""
    return np.sqrt(2 / shape[0]) * draw(jax.random.normal, key, shape, dtype or jnp.result_type(float))


class MLP(nn.Module):
    """Dense layers from (identity half, context) to the parameters of the transformed half.

    The last layer starts at zero, so that a coupling starts as the identity.

    Attributes:
      hidden: widths of the hidden layers.
      out_features: width of the output, (parameters per dimension) x (size of the transformed half).
      activation: behind every hidden layer: relu, tanh, silu or gelu.
    """

    hidden: tuple[int, ...]
    out_features: int
    activation: str = "relu"

    @nn.compact
    def __call__(
        self,
        identity: Float[Array, "n size"],
        cells: None,
        context: Float[Array, "n context_size"] | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> Float[Array, "n out"]:
        """Parameters of the transform.

        Args:
          identity: the identity half.
          cells: None, a vector's halves are real halves.
          context: what the density is conditioned on.
          train: no difference.
          axis_name: no difference.
        """
        h = identity if context is None else jnp.concatenate([identity, context], axis=-1)
        for i, width in enumerate(self.hidden):
            h = ACTIVATIONS[self.activation](nn.Dense(width, kernel_init=_he_normal, name=f"hidden_{i}")(h))
        return nn.Dense(self.out_features, kernel_init=nn.initializers.zeros, name="out")(h)
