"""The 1,797 handwritten digits of scikit-learn: 8x8 pixels with 17 levels, and their labels."""

import dataclasses
from typing import Any, ClassVar

import numpy as np

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples
from realnvp_jax.registry import register


@register("dataset", "digits")
@dataclasses.dataclass(frozen=True)
class Digits(DataSet):
    """scikit-learn's digits, in one fixed random order."""

    name: str = "digits"
    levels: ClassVar[int] = 17

    def load(self, split: str) -> Examples:
        """All the images."""
        from sklearn.datasets import load_digits

        digits: Any = load_digits()
        images = digits.images.astype(np.uint8)[..., None]
        order = np.random.default_rng(0).permutation(len(images))
        return Examples(images[order], labels=digits.target[order], classes=tuple("0123456789"))
