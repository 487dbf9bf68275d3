"""Tables that come with scikit-learn."""

import dataclasses
from typing import Any

import numpy as np

from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples
from realnvp_jax.registry import register


@register("dataset", "breast_cancer")
@register("dataset", "wine")
@dataclasses.dataclass(frozen=True)
class SklearnTable(DataSet):
    """The features of the scikit-learn table with this name, without the target, with the rows in random order.

    Attributes:
      seed: seed of the order of the rows.
    """

    seed: int = 0
    is_of_images = False

    def load(self, split: str) -> Examples:
        """All the rows."""
        import sklearn.datasets

        data: Any = getattr(sklearn.datasets, f"load_{self.name}")()
        order = np.random.default_rng(self.seed).permutation(len(data.data))
        return Examples(data.data.astype(np.float32)[order], columns=tuple(map(str, data.feature_names)))
