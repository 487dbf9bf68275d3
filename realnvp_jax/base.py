"""Base distributions: independent, identically distributed over every dimension of the latent.

Each is a hashable specification with `log_density(z)`, elementwise, `sample(key, shape)`, `has_scale`, which says
whether a temperature can scale its standard deviation, and `support`, the interval that holds its values.
"""

import abc
import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.random import draw
from realnvp_jax.registry import register


class Base(abc.ABC):
    """Base class of the parts of the kind "base"."""

    has_scale: ClassVar[bool]
    support: ClassVar[tuple[float, float]]

    @abc.abstractmethod
    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """Log-density of every element, in nats."""

    @abc.abstractmethod
    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws."""


@register("base", "normal")
@dataclasses.dataclass(frozen=True)
class Normal(Base):
    """N(0, 1)."""

    has_scale: ClassVar[bool] = True
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """-(z^2 + log 2 pi) / 2, in nats."""
        return -0.5 * (jnp.square(z) + jnp.log(2 * jnp.pi).astype(z.dtype))

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws."""
        return draw(jax.random.normal, key, shape)


@register("base", "logistic")
@dataclasses.dataclass(frozen=True)
class Logistic(Base):
    """The standard logistic distribution, density e^-z / (1 + e^-z)^2."""

    has_scale: ClassVar[bool] = True
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """-softplus(z) - softplus(-z), in nats."""
        return -jax.nn.softplus(z) - jax.nn.softplus(-z)

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws."""
        return draw(jax.random.logistic, key, shape)


@register("base", "uniform")
@dataclasses.dataclass(frozen=True)
class Uniform(Base):
    """Uniform on [0, 1]."""

    has_scale: ClassVar[bool] = False
    support: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """0 on [0, 1], -inf elsewhere, in nats."""
        return jnp.where((z >= 0) & (z <= 1), jnp.zeros_like(z), -jnp.inf)

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws on [0, 1)."""
        return draw(jax.random.uniform, key, shape)
