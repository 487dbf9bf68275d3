"""Masks: which half of its input a coupling layer leaves alone (Section 3.4 of the paper).

Everywhere `True` marks the identity half. A mask is a pure function of (kind, parity, shape) and never a
parameter. `Checkerboard` and `ChannelHalves` are the two kinds as hashable specifications; each knows how to
take its input apart into (identity half, transformed half) and how to put the two together again.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def checkerboard(height: int, width: int, parity: int) -> Bool[Array, "height width 1"]:
    """True where (row + column) mod 2 = parity, so that parity 0 keeps the cell (0, 0)."""
    cells = jnp.arange(height)[:, None] + jnp.arange(width)[None, :]
    return (cells % 2 == parity)[:, :, None]


@dataclasses.dataclass(frozen=True)
class Checkerboard:
    """The checkerboard mask. Both halves keep the shape of the image, with zeros in the other's cells."""

    parity: int

    def cells(self, shape: tuple[int, ...]) -> Bool[Array, "1 height width 1"]:
        """The mask for images of shape [n, height, width, channels]."""
        return checkerboard(shape[-3], shape[-2], self.parity)[None]

    def split(
        self, x: Float[Array, "n height width channels"]
    ) -> tuple[Float[Array, "n height width channels"], Float[Array, "n height width channels"]]:
        """(identity half, transformed half)."""
        cells = self.cells(x.shape)
        return jnp.where(cells, x, 0), jnp.where(cells, 0, x)

    def merge(
        self,
        identity: Float[Array, "n height width channels"],
        transformed: Float[Array, "n height width channels"],
    ) -> Float[Array, "n height width channels"]:
        """Inverse of `split`."""
        return jnp.where(self.cells(identity.shape), identity, transformed)

    def only_transformed(self, values: Float[Array, "n height width channels"]) -> Array:
        """`values` with zeros in the cells of the identity half."""
        return jnp.where(self.cells(values.shape), 0, values)

    def num_transformed(self, shape: tuple[int, ...]) -> int:
        """Number of positions (height x width) that the coupling transforms."""
        height, width = shape[-3:-1]
        even = (height * width + 1) // 2
        return height * width - even if self.parity == 0 else even


@dataclasses.dataclass(frozen=True)
class ChannelHalves:
    """The channel-wise mask: parity 0 keeps the first half of the channels, parity 1 the second.

    The halves are real halves: each has half of the channels.
    """

    parity: int

    def cells(self, shape: tuple[int, ...]) -> None:
        """Real halves have no cells to tell apart."""
        return None

    def split(
        self, x: Float[Array, "n height width channels"]
    ) -> tuple[Float[Array, "n height width half"], Float[Array, "n height width half"]]:
        """(identity half, transformed half)."""
        first, second = jnp.split(x, 2, axis=-1)
        return (first, second) if self.parity == 0 else (second, first)

    def merge(
        self,
        identity: Float[Array, "n height width half"],
        transformed: Float[Array, "n height width half"],
    ) -> Float[Array, "n height width channels"]:
        """Inverse of `split`."""
        halves = (identity, transformed) if self.parity == 0 else (transformed, identity)
        return jnp.concatenate(halves, axis=-1)

    def only_transformed(self, values: jax.Array) -> jax.Array:
        """`values`: a transformed half has no cells of the identity half."""
        return values


Mask = Checkerboard | ChannelHalves
