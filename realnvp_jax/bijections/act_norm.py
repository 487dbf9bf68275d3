"""Shifts and scales that first come from a batch: ActNorm (Kingma and Dhariwal, Glow, 2018) and standardisation.

    z = (x - mean) / deviation

`flow.init(key, x)` sets both so that the batch x comes out with mean 0 and variance 1 per channel. ActNorm trains
them from there; standardisation keeps them.
"""

from realnvp_jax.bijections.normalization import Normalization
from realnvp_jax.networks.data_statistics import STANDARDIZATION, DataStatistics


class ActNorm(Normalization):
    """A trainable shift and scale per channel; with a mask, of the transformed cells only."""

    def setup(self):
        """Mean and log-deviation."""
        self.statistics = DataStatistics()

    def statistics_of(self, x, *, train=False, axis_name=None, parity=None):
        """The trained ones."""
        mask = self._mask(parity)
        cells = None if mask is None else mask.cells(x.shape)
        return self.statistics(x, identity_cells=cells, axis_name=axis_name)


class Standardize(Normalization):
    """A constant shift and scale per element of a vector, part of the density but not trained."""

    def setup(self):
        """Mean and log-deviation, in their own collection."""
        self.statistics = DataStatistics(STANDARDIZATION)

    def statistics_of(self, x, *, train=False, axis_name=None, parity=None):
        """The constants."""
        return self.statistics(x, axis_name=axis_name)
