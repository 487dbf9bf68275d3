"""The contract of every bijection, and the chain that composes them.

A bijection is a Flax module with two methods,

    forward(x, context=None, *, train=False, axis_name=None) -> (z, log_det)     data -> latent
    inverse(z, context=None)                                 -> (x, log_det)     latent -> data

where x and z have shape [n, *event] and log_det, log |det dz/dx| for `forward` and log |det dx/dz| for
`inverse`, has shape [n]. `train` uses (and updates) the statistics of the batch where there are any,
`axis_name` names the axis of devices over which a batch is spread. The inverse is that of the evaluation mode.
"""

import abc
from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


class Bijection(nn.Module):
    """Base class: an invertible, differentiable map with a tractable log-determinant."""

    @abc.abstractmethod
    def forward(
        self,
        x: Float[Array, "n *event"],
        context: Float[Array, "n context_size"] | None = None,
        *,
        train: bool = False,
        axis_name: str | None = None,
    ) -> tuple[Float[Array, "n *event"], Float[Array, " n"]]:
        """Data to latent."""

    @abc.abstractmethod
    def inverse(
        self, z: Float[Array, "n *event"], context: Float[Array, "n context_size"] | None = None
    ) -> tuple[Float[Array, "n *event"], Float[Array, " n"]]:
        """Latent to data."""

    def with_progress(self) -> "Bijection":
        """The same bijection, with a progress bar where its inverse is a long loop."""
        return self


def forward_through(
    layers: Sequence[Bijection],
    x: Float[Array, "n *event"],
    context: Float[Array, "n context_size"] | None = None,
    *,
    train: bool = False,
    axis_name: str | None = None,
) -> tuple[Float[Array, "n *event"], Float[Array, " n"]]:
    """Apply the layers in order; the log-determinants add up."""
    log_det = jnp.zeros(x.shape[:1], x.dtype)
    for layer in layers:
        x, layer_log_det = layer.forward(x, context, train=train, axis_name=axis_name)
        log_det = log_det + layer_log_det
    return x, log_det


def inverse_through(
    layers: Sequence[Bijection],
    z: Float[Array, "n *event"],
    context: Float[Array, "n context_size"] | None = None,
) -> tuple[Float[Array, "n *event"], Float[Array, " n"]]:
    """Apply the layers' inverses in reverse order; the log-determinants add up."""
    log_det = jnp.zeros(z.shape[:1], z.dtype)
    for layer in reversed(layers):
        z, layer_log_det = layer.inverse(z, context)
        log_det = log_det + layer_log_det
    return z, log_det


class Inverse(Bijection):
    """Another bijection the other way: `forward` is its inverse, which is that of the evaluation mode in training too.

    Attributes:
      bijection: the other one.
    """

    bijection: Bijection

    def forward(self, x, context=None, *, train=False, axis_name=None):
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

    layers: tuple[Bijection, ...] = ()

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        return forward_through(self.layers, x, context, train=train, axis_name=axis_name)

    def inverse(self, z, context=None):
        """Latent to data."""
        return inverse_through(self.layers, z, context)
