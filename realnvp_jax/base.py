"""Base distributions: independent, identically distributed over every dimension of the latent.

Each is a hashable specification with `log_density(z)`, elementwise, `sample(key, shape)`, `has_scale`, which says
whether a temperature can scale its deviation, and `support`, the interval that holds its values.
"""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from realnvp_jax.random import draw


@dataclasses.dataclass(frozen=True)
class Normal:
    """N(0, 1)."""

    has_scale: ClassVar[bool] = True
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """-(z^2 + log 2 pi) / 2."""
        return -0.5 * (jnp.square(z) + jnp.log(2 * jnp.pi).astype(z.dtype))

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws."""
        return draw(jax.random.normal, key, shape)


@dataclasses.dataclass(frozen=True)
class Logistic:
    """The standard logistic distribution, density e^-z / (1 + e^-z)^2."""

    has_scale: ClassVar[bool] = True
    support: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """-softplus(z) - softplus(-z)."""
        return -jax.nn.softplus(z) - jax.nn.softplus(-z)

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws."""
        return draw(jax.random.logistic, key, shape)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Uniform on [0, 1]."""

    has_scale: ClassVar[bool] = False
    support: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def log_density(self, z: Float[Array, "..."]) -> Float[Array, "..."]:
        """0 on [0, 1], -inf elsewhere."""
        return jnp.where((z >= 0) & (z <= 1), jnp.zeros_like(z), -jnp.inf)

    def sample(self, key: jax.Array, shape: tuple[int, ...]) -> Array:
        """Independent draws on [0, 1)."""
        return draw(jax.random.uniform, key, shape)


Base = Normal | Logistic | Uniform
