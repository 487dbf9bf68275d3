"""Permutations of the last axis, the mixings of RealNVP and Glow that learn nothing: log |det| = 0."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.linear import CONSTANTS
from realnvp_jax.mode import EVALUATE
from realnvp_jax.registry import register


@register("mixing", "permutation")
class Permutation(Bijection):
    """A random permutation, which `flow.init` draws and training leaves alone."""

    is_elementary = False
    is_permutation = True

    @nn.compact
    def _places(self, channels: int) -> Float[Array, " channels"]:
        """The place of every channel of x in z, as floating-point numbers, like all variables."""

        def draw() -> Float[Array, " channels"]:
            return jax.random.permutation(self.make_rng("params"), channels).astype(jnp.result_type(float))

        return self.variable(CONSTANTS, "places", draw).value

    def forward(self, x, context=None, mode=EVALUATE):
        """Permute."""
        return _take(x, jnp.argsort(self._places(x.shape[-1]))), jnp.zeros_like(x, shape=x.shape[:1])

    def inverse(self, z, context=None):
        """Undo the permutation."""
        order = jnp.argsort(self._places(z.shape[-1]))
        return _take(z, jnp.argsort(order)), jnp.zeros_like(z, shape=z.shape[:1])


@register("mixing", "reversal")
class Reversal(Bijection):
    """The channels in reverse order, so that the other half is transformed next."""

    is_elementary = False
    is_permutation = True

    def forward(self, x, context=None, mode=EVALUATE):
        """Reverse."""
        return jnp.flip(x, axis=-1), jnp.zeros_like(x, shape=x.shape[:1])

    def inverse(self, z, context=None):
        """Reverse."""
        return self.forward(z)


def _take(x: Float[Array, "n *positions channels"], order: Int[Array, " channels"]) -> Array:
    """The channels in another order; XLA may then scatter their gradients without regard to repeated indices."""
    return x.at[..., order].get(unique_indices=True, mode="promise_in_bounds")
