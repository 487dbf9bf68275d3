"""Two-dimensional toy data: points drawn from known distributions. The same seed gives the same points.

A generator takes (rng, num) and returns num points in random order. Some call scikit-learn's generators, seeded from
`rng`. The latter give each of K mixture components num / K points, rounded; the others draw components at random.
"""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from jaxtyping import Float32

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import STREAMS, Examples
from realnvp_jax.registry import parameter, register

_NUM = {"validation": 20_000, "test": 100_000}
_BLOB_CENTERS = np.array([(-2.0, -1.5), (2.0, -1.5), (0.0, 2.0), (3.0, 2.5)])


def sample_toy(name: str, num: int, seed: int | Sequence[int]) -> Float32[np.ndarray, "num 2"]:
    """Draw `num` points of the toy data set `name`, a key of `TOY`.

    Raises:
      ValueError: the name is unknown, or num is less than 1.
    """
    if name not in TOY:
        near = difflib.get_close_matches(name, TOY, n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected a toy data set, one of {', '.join(TOY)}; got {name[:60]!r}{hint}")
    if num < 1:
        raise ValueError(f"expected at least one point of {name!r}; got num={num}")
    return TOY[name](np.random.default_rng(seed), num).astype(np.float32)


def _moons(rng: np.random.Generator, num: int) -> np.ndarray:
    """Two half circles of radius 1 that interlock, plus noise of standard deviation 0.1; evenly spaced angles."""
    from sklearn.datasets import make_moons

    return np.asarray(make_moons(num, noise=0.1, random_state=_random_state(rng))[0])


def _circles(rng: np.random.Generator, num: int) -> np.ndarray:
    """Circles of radius 1 and 0.5 about the origin, plus noise of standard deviation 0.05; evenly spaced angles."""
    from sklearn.datasets import make_circles

    return np.asarray(make_circles(num, noise=0.05, factor=0.5, random_state=_random_state(rng))[0])


def _blobs(rng: np.random.Generator, num: int) -> np.ndarray:
    """Round Gaussians of standard deviation 0.5 at (-2, -1.5), (2, -1.5), (0, 2) and (3, 2.5), for any seed."""
    from sklearn.datasets import make_blobs

    return np.asarray(make_blobs(num, centers=_BLOB_CENTERS, cluster_std=0.5, random_state=_random_state(rng))[0])


def _random(rng: np.random.Generator, num: int) -> np.ndarray:
    """Uniform on the unit square, where the log-density is 0."""
    return rng.random((num, 2))


def _smiley(rng: np.random.Generator, num: int) -> np.ndarray:
    """A face: eyes at (-1.5, 2.5) and (1.5, 2.5), and a mouth (2 cos a, -sin a) with a uniform on [0, pi].

    Each part has probability 1/3. Gaussian noise of standard deviation 0.2 is added to all points.
    """
    angle = rng.uniform(0, np.pi, num)
    mouth = np.stack([2 * np.cos(angle), -np.sin(angle)], axis=1)
    left, right = np.full((num, 2), (-1.5, 2.5)), np.full((num, 2), (1.5, 2.5))
    part = np.stack([left, right, mouth])[rng.integers(3, size=num), np.arange(num)]
    return part + 0.2 * rng.standard_normal((num, 2))


def _pinwheel(rng: np.random.Generator, num: int) -> np.ndarray:
    """Five bent arms: 2 (r, t) rotated by 2 pi k / 5 + exp(r) / 4; r ~ N(1, 0.3^2), t ~ N(0, 0.1^2), k uniform."""
    r, t = 1 + 0.3 * rng.standard_normal(num), 0.1 * rng.standard_normal(num)
    angle = 2 * np.pi * rng.integers(5, size=num) / 5 + np.exp(r) / 4
    cos, sin = np.cos(angle), np.sin(angle)
    return 2 * np.stack([r * cos - t * sin, r * sin + t * cos], axis=1)


def _checkerboard(rng: np.random.Generator, num: int) -> np.ndarray:
    """Uniform on the eight dark squares (side 2) of a 4x4 board on [-4, 4]^2, where the log-density is -log 32."""
    column = rng.integers(4, size=num)
    row = 2 * rng.integers(2, size=num) + column % 2
    return 2 * (np.stack([column, row], axis=1) + rng.random((num, 2))) - 4


def _swiss_roll(rng: np.random.Generator, num: int) -> np.ndarray:
    """A spiral (t cos t, t sin t) / 5 with t uniform on [1.5 pi, 4.5 pi], plus noise of standard deviation 0.2."""
    from sklearn.datasets import make_swiss_roll

    return make_swiss_roll(num, noise=1.0, random_state=_random_state(rng))[0][:, [0, 2]] / 5


def _eight_gaussians(rng: np.random.Generator, num: int) -> np.ndarray:
    """Round Gaussians of standard deviation sqrt(2) / 4 at eight equal angles on the circle of radius 2 sqrt(2)."""
    angle = np.pi * rng.integers(8, size=num) / 4
    centers = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.sqrt(2) * (2 * centers + 0.25 * rng.standard_normal((num, 2)))


def _random_state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


TOY: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "moons": _moons,
    "circles": _circles,
    "blobs": _blobs,
    "random": _random,
    "smiley": _smiley,
    "pinwheel": _pinwheel,
    "checkerboard": _checkerboard,
    "swiss_roll": _swiss_roll,
    "eight_gaussians": _eight_gaussians,
}


@dataclasses.dataclass(frozen=True)
class Toy(DataSet):
    """The toy data with this name, a key of `TOY`, with 20,000 points for validation and 100,000 for the test.

    Attributes:
      num_train: number of training points.
      seed: seed of the points.
    """

    num_train: int = parameter(100_000, "training examples to generate", at_least=1, at_most=10**7)
    seed: int = 0
    is_of_images = False
    split_names: ClassVar[tuple[str, ...]] = tuple(STREAMS)

    def load(self, split: str) -> Examples:
        """The points of a split."""
        x = sample_toy(self.name, _NUM.get(split, self.num_train), (self.seed, STREAMS[split]))
        return Examples(x, columns=("x", "y"))


for _name in TOY:
    register("dataset", _name, Toy)
