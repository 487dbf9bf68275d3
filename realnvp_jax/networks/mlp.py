"""The conditioner of vectors: a multi-layer perceptron."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.random import draw
from realnvp_jax.registry import parameter, register

ACTIVATIONS = {"relu": nn.relu, "tanh": jnp.tanh, "silu": nn.silu, "gelu": nn.gelu}


def _he_normal(key: jax.Array, shape: tuple[int, ...], dtype=None) -> jax.Array:
    """N(0, 2 / fan-in)."""
    return np.sqrt(2 / shape[0]) * draw(jax.random.normal, key, shape, dtype or jnp.result_type(float))


@register("conditioner", "mlp")
class MLP(Conditioner):
    """Dense layers from (identity half, context) to the parameters of the transformed half.

    The last layer starts at zero, so that a coupling layer starts as the identity.
    """

    hidden: tuple[int, ...] = parameter((128, 128), "widths of the hidden layers")
    activation: str = parameter("relu", "activation after every hidden layer", choices=tuple(ACTIVATIONS))

    @property
    def hidden_kernels(self) -> tuple[str, ...]:
        """The kernels between two hidden layers."""
        return tuple(f"hidden_{i}/kernel" for i in range(1, len(self.hidden)))

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        """Parameters of the transform."""
        if identity.ndim != 2:
            raise ValueError(
                f"expected vectors for the conditioner 'mlp'; got the shape {identity.shape}: use 'resnet'"
            )
        h = identity if context is None else jnp.concatenate([identity, context], axis=-1)
        for i, width in enumerate(self.hidden):
            h = ACTIVATIONS[self.activation](nn.Dense(width, kernel_init=_he_normal, name=f"hidden_{i}")(h))
        return nn.Dense(self.out_features, kernel_init=nn.initializers.zeros, name="out")(h)
