"""Masks: which half of its input a coupling layer leaves alone (Section 3.4 of the paper).

Everywhere `True` marks the identity half. A mask is a pure function of (kind, parity, shape) and never a
parameter. Each kind is a hashable specification that splits its input into (identity half, transformed half) and merges
the two again: `Checkerboard`, `ImageHalves` and `RandomCells` mask the cells of an image, and `Halves` splits the last
axis.

In a loop over layers the parity is an array that is known only at run time: `mask.with_parity(parity)`.

Vectors are always split by `Halves`. A `VectorMask` puts their elements in another order first.
"""

import abc
import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from realnvp_jax.registry import check_parameters, parameter, register

Parity = int | Int[Array, ""]


def checkerboard(height: int, width: int, parity: Parity) -> Bool[Array, "height width 1"]:
    """True where (row + column) mod 2 = parity, so that parity 0 keeps the cell (0, 0)."""
    cells = jnp.arange(height)[:, None] + jnp.arange(width)[None, :]
    return (cells % 2 == parity)[:, :, None]


@dataclasses.dataclass(frozen=True)
class CellMask(abc.ABC):
    """A mask over the cells of an image. Both halves keep the image's shape, with zeros in the cells of the other half.

    The base class of the parts of the kind "image_mask".
    """

    parity: Parity = 0
    num_parities: ClassVar[int] = 2

    def with_parity(self, parity: Parity) -> "CellMask":
        """The mask of this kind with another parity."""
        return dataclasses.replace(self, parity=parity)

    @abc.abstractmethod
    def cells(self, shape: tuple[Any, ...]) -> Bool[Array, "1 height width 1"]:
        """The mask for images of shape [n, height, width, channels]."""

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


@register("image_mask", "checkerboard")
@dataclasses.dataclass(frozen=True)
class Checkerboard(CellMask):
    """The checkerboard mask; parity 0 keeps the cell (0, 0)."""

    def cells(self, shape: tuple[Any, ...]) -> Bool[Array, "1 height width 1"]:
        """The mask for images of shape [n, height, width, channels]."""
        return checkerboard(shape[-3], shape[-2], self.parity)[None]


@register("image_mask", "halves")
@dataclasses.dataclass(frozen=True)
class ImageHalves(CellMask):
    """One half of an image conditions the other half: a bad mask, for comparison with the checkerboard.

    Parity 0 and 1 keep the top and the bottom half, 2 and 3 the left and the right half.
    """

    num_parities: ClassVar[int] = 4

    def cells(self, shape: tuple[Any, ...]) -> Bool[Array, "1 height width 1"]:
        """The mask for images of shape [n, height, width, channels]."""
        height, width = shape[-3:-1]
        top = jnp.arange(height)[:, None] < (height + 1) // 2
        left = jnp.arange(width)[None, :] < (width + 1) // 2
        first = jnp.where(jnp.asarray(self.parity < 2), top, left)
        return (first == (self.parity % 2 == 0))[None, :, :, None]


@register("image_mask", "random")
@dataclasses.dataclass(frozen=True)
class RandomCells(CellMask):
    """A random half of the cells and the other half, for comparison with the checkerboard.

    Parity 0 and 1 are one choice and its complement, 2 and 3 another one. The choices depend only on the image's size;
    if the number of cells is odd, parity 0 and 2 keep the larger half.
    """

    num_parities: ClassVar[int] = 4

    def cells(self, shape: tuple[Any, ...]) -> Bool[Array, "1 height width 1"]:
        """The mask for images of shape [n, height, width, channels]."""
        height, width = shape[-3:-1]
        choices = [np.random.default_rng(seed).permutation(height * width) % 2 == 0 for seed in (0, 1)]
        first = jnp.where(jnp.asarray(self.parity < 2), *choices).reshape(height, width)
        return (first == (self.parity % 2 == 0))[None, :, :, None]


@dataclasses.dataclass(frozen=True)
class Halves:
    """Halves of the last axis: the channel-wise mask of images, and the mask of vectors.

    Parity 0 keeps the first half, parity 1 the second; if the size is odd, the first half is the larger one. Each half
    holds only its own channels or elements (no zeros). A parity that is known only at run time needs an even size.
    """

    parity: Parity = 0
    num_parities: ClassVar[int] = 2

    def with_parity(self, parity: Parity) -> "Halves":
        """Halves with another parity."""
        return Halves(parity)

    def _in_order(self, first: jax.Array, second: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(first, second) for parity 0, (second, first) for parity 1. This is its own inverse."""
        if isinstance(self.parity, int):
            return (first, second) if self.parity == 0 else (second, first)
        return jnp.where(self.parity == 0, first, second), jnp.where(self.parity == 0, second, first)

    def size_transformed(self, size: int) -> int:
        """Size of the transformed half."""
        return size // 2 if self.parity == 0 else (size + 1) // 2

    def cells(self, shape: tuple[Any, ...]) -> None:
        """None, since there is no mask over cells."""
        return None

    def split(self, x: Float[Array, "*n size"]) -> tuple[Float[Array, "*n first"], Float[Array, "*n second"]]:
        """(identity half, transformed half)."""
        middle = (x.shape[-1] + 1) // 2
        return self._in_order(x[..., :middle], x[..., middle:])

    def merge(
        self, identity: Float[Array, "*n first"], transformed: Float[Array, "*n second"]
    ) -> Float[Array, "*n size"]:
        """Inverse of `split`."""
        return jnp.concatenate(self._in_order(identity, transformed), axis=-1)

    def only_transformed(self, values: jax.Array) -> jax.Array:
        """`values` unchanged, since the transformed half has no cells of the identity half."""
        return values


Mask = CellMask | Halves


@dataclasses.dataclass(frozen=True)
class VectorMask(abc.ABC):
    """The halves of vectors: base class of the parts of the kind "vector_mask"."""

    def __post_init__(self):
        check_parameters(self)

    @abc.abstractmethod
    def orders(self, num_dims: int, count: int) -> Int[np.ndarray, "count num_dims"] | None:
        """Orders of the elements whose halves are the masks, one for each pair of couplings; None to keep the order."""


@register("vector_mask", "halves")
@dataclasses.dataclass(frozen=True)
class VectorHalves(VectorMask):
    """The first and the second half of the elements, in the given order."""

    def orders(self, num_dims, count):
        """None."""
        return None


@register("vector_mask", "alternating")
@dataclasses.dataclass(frozen=True)
class Alternating(VectorMask):
    """The even and the odd elements."""

    def orders(self, num_dims, count):
        """The even elements in front of the odd ones."""
        order = np.concatenate([np.arange(0, num_dims, 2), np.arange(1, num_dims, 2)])
        return np.tile(order, (count, 1)) if num_dims > 2 else None


@register("vector_mask", "random")
@dataclasses.dataclass(frozen=True)
class RandomHalves(VectorMask):
    """A random half and its complement for every pair of coupling layers."""

    seed: int = parameter(0, "seed of the random halves", at_least=0)

    def orders(self, num_dims, count):
        """Random orders."""
        random = np.random.default_rng(self.seed)
        return np.stack([random.permutation(num_dims) for _ in range(count)])
