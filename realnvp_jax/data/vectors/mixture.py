"""Tables drawn from a known density: a mixture of Gaussians with its exact density, and six dependent columns."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import STREAMS, Examples
from realnvp_jax.registry import register


@dataclasses.dataclass(frozen=True)
class GaussianMixture:
    """p(x) = 1/K sum_k N(x; m_k, R_k diag(s_k)^2 R_k^T), in D dimensions.

    The means are m_k ~ 1.5 N(0, I), the scales log s_k ~ U(-0.4, 0.2) for each axis, and R_k is a uniformly random
    rotation or reflection. All of them follow from `seed`.
    """

    num_components: int = 4
    num_dims: int = 8
    seed: int = 0

    @functools.cached_property
    def means(self) -> Float64[np.ndarray, "K D"]:
        """The centres m_k."""
        return self._parameters[0]

    @functools.cached_property
    def deviations(self) -> Float64[np.ndarray, "K D"]:
        """The standard deviations s_k along the axes of each component."""
        return self._parameters[1]

    @functools.cached_property
    def rotations(self) -> Float64[np.ndarray, "K D D"]:
        """The orthogonal matrices R_k, whose columns are the axes of each component."""
        return self._parameters[2]

    @functools.cached_property
    def _parameters(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(self.seed)
        shape = (self.num_components, self.num_dims)
        means = 1.5 * rng.standard_normal(shape)
        deviations = np.exp(rng.uniform(-0.4, 0.2, shape))
        q, r = np.linalg.qr(rng.standard_normal((*shape, self.num_dims)))
        # The signs of r's diagonal make q uniform over the orthogonal matrices; without them it depends on LAPACK.
        return means, deviations, q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]

    def sample(self, rng: np.random.Generator, num: int) -> Float32[np.ndarray, "num D"]:
        """Draw `num` points in random order."""
        component = rng.integers(self.num_components, size=num)
        x = rng.standard_normal((num, self.num_dims))
        for k in range(self.num_components):
            here = component == k
            x[here] = self.means[k] + (self.deviations[k] * x[here]) @ self.rotations[k].T
        return x.astype(np.float32)

    def log_density(self, x: np.ndarray) -> Float64[np.ndarray, "num"]:
        """The exact log p(x) in nats, computed in float64; x is [num, D]."""
        log_joint = np.empty((self.num_components, len(x)))
        for k in range(self.num_components):
            whitened = (np.asarray(x, np.float64) - self.means[k]) @ self.rotations[k] / self.deviations[k]
            log_joint[k] = -0.5 * (whitened**2).sum(axis=1) - np.log(self.deviations[k]).sum()
        log_joint -= 0.5 * self.num_dims * math.log(2 * math.pi) + math.log(self.num_components)
        return np.logaddexp.reduce(log_joint, axis=0)


def sample_synthetic_table(num: int, seed: int | Sequence[int]) -> tuple[list[str], Float32[np.ndarray, "num 6"]]:
    """Draw `num` rows of six continuous columns that a Gaussian does not fit: (names of the columns, values).

    With a, b, ... independent standard normals and t_4 Student's t with four degrees of freedom:

      size     = exp(8 + 0.7 a)                                            skewed, thousands
      price    = 0.02 size^0.8 exp(0.25 b)                                 a power law of size, with noise
      heat     = -6 or 14, plus 2 c; 14 has probability sigmoid(1.5 a)               two modes, weighted by size
      load     = 0.03 (heat - 4)^2 + 0.5 g, g ~ Gamma(2)                   a parabola in heat, skewed noise
      error    = 0.001 (1 + load) t_4                                      heavy tails whose width grows with load
      phase    = sin(heat / 3) + 0.3 a + 0.1 d                             waves
    """
    rng = np.random.default_rng(seed)
    a, b, c, d = rng.standard_normal((4, num))
    size = np.exp(8 + 0.7 * a)
    price = 0.02 * size**0.8 * np.exp(0.25 * b)
    heat = np.where(rng.random(num) < 1 / (1 + np.exp(-1.5 * a)), 14, -6) + 2 * c
    load = 0.03 * (heat - 4) ** 2 + 0.5 * rng.gamma(2, size=num)
    error = 0.001 * (1 + load) * rng.standard_t(4, num)
    phase = np.sin(heat / 3) + 0.3 * a + 0.1 * d
    values = np.stack([size, price, heat, load, error, phase], axis=1)
    return ["size", "price", "heat", "load", "error", "phase"], values.astype(np.float32)


@register("dataset", "gaussian_mixture")
@dataclasses.dataclass(frozen=True)
class MixtureTable(DataSet):
    """Points drawn from `GaussianMixture()`: 50,000 for training, 20,000 for validation and 20,000 for the test.

    Attributes:
      seed: seed of the points.
    """

    seed: int = 0
    is_of_images = False
    split_names: ClassVar[tuple[str, ...]] = tuple(STREAMS)

    def load(self, split: str) -> Examples:
        """The points of a split."""
        num = 50_000 if split == "train" else 20_000
        return Examples(GaussianMixture().sample(np.random.default_rng([self.seed, STREAMS[split]]), num))


@register("dataset", "synthetic_table")
@dataclasses.dataclass(frozen=True)
class SyntheticTable(DataSet):
    """200,000 rows drawn by `sample_synthetic_table`.

    Attributes:
      seed: seed of the rows.
    """

    seed: int = 0
    is_of_images = False

    def load(self, split: str) -> Examples:
        """All the rows."""
        columns, x = sample_synthetic_table(200_000, self.seed)
        return Examples(x, columns=tuple(columns))
