"""The contract of dequantizers: from discrete pixels x to continuous values y with floor(y) = x.

    log p(x) >= log p(y) - log q(y | x),    y ~ q(y | x)

with equality in the mean over K samples as K grows. Uniform noise has q = 1 (Section 3.7.2 of Theis et al., 2016, "A
note on the evaluation of generative models"); a learned q tightens the bound (Ho et al., Flow++, 2019).
"""

import abc

import flax.linen as nn
from jaxtyping import Array, Float, Integer

from realnvp_jax.bijections.bijection import Context
from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.registry import check_parameters


class Dequantizer(nn.Module):
    """Base class of the parts of the kind "dequantizer"."""

    is_learned = True  # whether it has parameters

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    @abc.abstractmethod
    def __call__(
        self,
        x: Integer[Array, "n *event"],
        key: Array,
        indices: Integer[Array, " n"],
        context: Context = None,
        mode: Mode = EVALUATE,
    ) -> tuple[Float[Array, "n *event"], Float[Array, " n"]]:
        """(y, log q(y | x)), y in [x, x + 1).

        Args:
          x: pixels.
          key: random key.
          indices: indices of the examples. The noise of an example depends only on the key and its index
            (`realnvp_jax.random.draw_each`), so that it is the same in a batch of any size, on any number of devices.
          context: what the density is conditioned on.
          mode: mode of the pass.
        """
