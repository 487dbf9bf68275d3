"""The contract of elementwise transforms, whose parameters a conditioner computes.

Coupling layers apply them to the transformed half of their input, autoregressive maps to every element.
"""

import abc

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.checks import check_returned
from realnvp_jax.networks.loop import LOG_SCALES
from realnvp_jax.registry import check_parameters


class Transform(nn.Module):
    """Base class of the parts of the kind "transform": an invertible function of one number."""

    preserves_volume = False  # whether its log-derivative is always 0, so that a flow needs a scaling elsewhere

    def __post_init__(self):
        check_parameters(self)
        super().__post_init__()

    @property
    @abc.abstractmethod
    def parameters_per_dim(self) -> int:
        """How many numbers the conditioner computes for each element."""

    @abc.abstractmethod
    def forward(
        self, x: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Value and elementwise log-derivative, from the conditioner's output."""

    @abc.abstractmethod
    def inverse(
        self, z: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"]
    ) -> tuple[Float[Array, "*n channels"], Float[Array, "*n channels"]]:
        """Inverse of `forward`: value and elementwise log-derivative."""

    def checked(self, method: str, values: Array, raw: Array) -> tuple[Array, Array]:
        """`forward` or `inverse`, with values of shape [*n, channels] and raw parameters [*n, parameters].

        Raises:
          ValueError: the result does not have the shape of the values.
        """
        result, log_derivative = getattr(self, method)(values, raw)
        check_returned(self, f"values by {method}", result, values.shape)
        check_returned(self, f"log-derivatives by {method}", log_derivative, values.shape)
        return result, log_derivative

    def note_log_scales(self, log_derivative: Float[Array, "*n channels"]) -> None:
        """Write the largest |log-derivative| of a training pass into the collection LOG_SCALES, if it is wanted."""
        if self.is_mutable_collection(LOG_SCALES) and not self.is_initializing():
            self.put_variable(LOG_SCALES, "largest", jax.lax.stop_gradient(jnp.abs(log_derivative).max(initial=0)))

    def placed(self, *, in_cells: bool, before_batch_norm: bool) -> "Transform":
        """The transform as the image RealNVP uses it in one place; by default unchanged.

        Args:
          in_cells: whether the mask is over the cells of an image (checkerboard), rather than over channels.
          before_batch_norm: whether batch normalization follows.
        """
        return self


def by_element(
    x: Float[Array, "*n channels"], raw: Float[Array, "*n parameters"], parameters_per_dim: int
) -> Float[Array, "*n channels parameters_per_dim"]:
    """The raw output with the parameters of each element along a new last axis."""
    return raw.reshape(*x.shape, parameters_per_dim)
