"""How a training pass is carried out: what it costs in memory, time and precision, never which density it is of."""

import dataclasses

import jax
import jax.numpy as jnp

MEMORY = ("store", "remat", "invert")
DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Execution:
    """Choices for the training passes of a model of images. Evaluation and sampling depend on `unroll` alone.

    Attributes:
      memory: what the backward pass of a coupling is computed from. store: from what its forward pass kept; remat: the
        forward pass is repeated, from the coupling's input; invert: that input is found by inverting the coupling, so
        that memory does not grow with the number of couplings.
      dtype: of the conditioners' activations and convolutions: float32 or bfloat16. Parameters, batch statistics,
        log_scale, log_det and the values that flow from coupling to coupling stay float32.
      unroll: couplings and residual blocks one after the other, instead of in loops, which compile many times faster.

    Raises:
      ValueError: a choice is unknown.
    """

    memory: str = "store"
    dtype: str = "float32"
    unroll: bool = False

    def __post_init__(self):
        if self.memory not in MEMORY:
            raise ValueError(f"expected memory to be one of {MEMORY}; got {self.memory!r}")
        if self.dtype not in DTYPES:
            raise ValueError(f"expected dtype to be one of {DTYPES}; got {self.dtype!r}")

    def narrow(self, x: jax.Array, *, train: bool) -> jax.Array:
        """`x` as the conditioners see it: bfloat16 in training, if that was chosen."""
        return x.astype(jnp.bfloat16) if train and self.dtype == "bfloat16" else x
