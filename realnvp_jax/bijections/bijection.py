"""The contract of every bijection, and how bijections compose.

A bijection is a Flax module with two methods,

    forward(x, context=None, mode=EVALUATE) -> (z, log_det)     data -> latent
    inverse(z, context=None)                -> (x, log_det)     latent -> data

where x and z have shape [n, *event] and log_det, log |det dz/dx| for `forward` and log |det dx/dz| for `inverse`, has
shape [n]. `inverse` is the inverse of `forward` in evaluation mode.

`pull_back` differentiates a training pass from its output alone, so that the memory for training a stack of bijections
does not grow with its depth (`bijections.stack`).
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.mode import EVALUATE, Mode
from realnvp_jax.registry import check_parameters

Values = tuple[Float[Array, "n *event"], Float[Array, " n"]]  # (value, log_det)
Context = Float[Array, "n *context_positions context_size"] | None  # images may have one context for each position
Variables = Mapping[str, Any]


class Bijection(nn.Module):
    """Base class: an invertible, differentiable map with a tractable log-determinant."""

    is_elementary = True  # False for compositions and permutations, which add no rounding error
    is_elementwise = False  # whether every element of z is an increasing function of the same element of x alone
    is_permutation = False  # whether z has the elements of x, in an order that depends neither on x nor on the context

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    @abc.abstractmethod
    def forward(self, x: Float[Array, "n *event"], context: Context = None, mode: Mode = EVALUATE) -> Values:
        """Data to latent."""

    @abc.abstractmethod
    def inverse(self, z: Float[Array, "n *event"], context: Context = None) -> Values:
        """Latent to data."""

    def with_progress(self) -> "Bijection":
        """The same bijection, with a progress bar where its inverse is a long loop."""
        return self

    def at(self, place: Any) -> "Bijection":
        """The layer of a stack at a place, which tells how it differs from the others; by default not at all."""
        return self

    def pull_back(
        self,
        variables: Variables,
        used: Variables,
        z: Float[Array, "n *event"],
        context: Context,
        mode: Mode,
        cotangents: tuple[Array, Array],
    ) -> tuple[Array, tuple[Any, Array, Any]]:
        """Input and gradients of a training pass from its output, for an unbound module.

        With the statistics of the training pass in place of the running ones, the inverse in evaluation mode inverts
        the pass. It recovers the input, from which the pass is then differentiated as usual. A subclass may save work
        by sharing computations between the two.

        A layer with dropout must override the method, as couplings do: evaluation mode does not invert its pass.

        Args:
          variables: variables of the training pass.
          used: the statistics that the pass normalized by, a collection.
          z: output of the pass.
          context: what the pass was conditioned on.
          mode: mode of the pass.
          cotangents: gradients with respect to z and log_det.

        Returns:
          The input of the pass, and the gradients with respect to variables["params"], the input and the context.
        """
        x, _ = self.apply({**variables, "batch_stats": used}, z, context, method="inverse")

        def forward(trainable, x, context):
            return run(self, {**variables, "params": trainable}, "forward", x, context, mode)

        _, vjp = jax.vjp(forward, variables.get("params", {}), x, context)
        return x, vjp(cotangents)


def run(module: nn.Module, variables: Variables, method: str, *arguments: Any) -> Any:
    """The result of a method of an unbound module; updates of statistics are dropped."""
    return module.apply(variables, *arguments, method=method, mutable=["batch_stats"])[0]


def forward_through(
    layers: Sequence[Bijection], x: Float[Array, "n *event"], context: Context = None, mode: Mode = EVALUATE
) -> Values:
    """Apply the layers in order; the log-determinants add up."""
    log_det = jnp.zeros(x.shape[:1], x.dtype)
    for number, layer in enumerate(layers):
        x, layer_log_det = layer.forward(x, context, mode.at(number))
        log_det = log_det + layer_log_det
    return x, log_det


def inverse_through(layers: Sequence[Bijection], z: Float[Array, "n *event"], context: Context = None) -> Values:
    """Apply the layers' inverses in reverse order; the log-determinants add up."""
    log_det = jnp.zeros(z.shape[:1], z.dtype)
    for layer in reversed(layers):
        z, layer_log_det = layer.inverse(z, context)
        log_det = log_det + layer_log_det
    return z, log_det


class Inverse(Bijection):
    """The inverse of a bijection: `forward` applies its inverse, in evaluation mode even during training.

    Attributes:
      bijection: the bijection that is inverted.
    """

    bijection: Bijection

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        return self.bijection.inverse(x, context)

    def inverse(self, z, context=None):
        """Latent to data."""
        return self.bijection.forward(z, context)


class Chain(Bijection):
    """Composition of bijections; `forward` applies the layers in order. The empty chain is the identity.

    Attributes:
      layers: the bijections.
    """

    is_elementary = False
    layers: tuple[Bijection, ...] = ()

    def at(self, place):
        """The chain with every layer at this place."""
        return self.clone(layers=tuple(layer.at(place) for layer in self.layers))

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        return forward_through(self.layers, x, context, mode)

    def inverse(self, z, context=None):
        """Latent to data."""
        return inverse_through(self.layers, z, context)

    def pull_back(self, variables, used, z, context, mode, cotangents):
        """Layer by layer, from the last to the first."""
        z_bar, log_det_bar = cotangents
        context_bar = jax.tree.map(jnp.zeros_like, context)
        params_bar = {}
        for number, layer in reversed(list(enumerate(self.layers))):
            name = f"layers_{number}"
            mine = {collection: tree[name] for collection, tree in variables.items() if name in tree}
            z, (layer_bar, z_bar, layer_context_bar) = layer.pull_back(
                mine, used.get(name, {}), z, context, mode.at(number), (z_bar, log_det_bar)
            )
            context_bar = jax.tree.map(jnp.add, context_bar, layer_context_bar)
            if name in variables.get("params", {}):
                params_bar[name] = layer_bar
        return z, (params_bar, z_bar, context_bar)


class Reordered(Bijection):
    """A bijection of vectors applied to their elements in another order; the order is restored afterwards.

    Attributes:
      bijection: the bijection that sees the reordered elements.
      order: indices of the elements in their new order, or None to keep the order.
    """

    is_elementary = False
    bijection: Bijection
    order: Any = None

    def at(self, place):
        """The bijection with another order."""
        return self.clone(order=place)

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        z, log_det = self.bijection.forward(self._reorder(x), context, mode)
        return self._restore(z), log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        x, log_det = self.bijection.inverse(self._reorder(z), context)
        return self._restore(x), log_det

    def pull_back(self, variables, used, z, context, mode, cotangents):
        """Pull back through the wrapped bijection, between the two orders."""
        mine = {collection: tree["bijection"] for collection, tree in variables.items() if "bijection" in tree}
        z_bar, log_det_bar = cotangents
        bars = self._reorder(z_bar), log_det_bar
        x, (params_bar, x_bar, context_bar) = self.bijection.pull_back(
            mine, used.get("bijection", {}), self._reorder(z), context, mode, bars
        )
        params_bar = {"bijection": params_bar} if "bijection" in variables.get("params", {}) else {}
        return self._restore(x), (params_bar, self._restore(x_bar), context_bar)

    def _reorder(self, x: Float[Array, "n dims"]) -> Float[Array, "n dims"]:
        return x if self.order is None else x[:, jnp.asarray(self.order)]

    def _restore(self, x: Float[Array, "n dims"]) -> Float[Array, "n dims"]:
        return x if self.order is None else x[:, jnp.argsort(jnp.asarray(self.order))]
