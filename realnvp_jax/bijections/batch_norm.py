"""Batch normalisation as a bijection (Section 3.7 of the paper).

    z = (x - mean) / sqrt(variance + epsilon),    log |det| = -1/2 sum log(variance + epsilon)

over the transformed half of the coupling before it. In training mean and variance are the batch's, with
gradients through them; the inverse and the evaluation mode use the running statistics.
"""

import jax.numpy as jnp

from realnvp_jax.bijections.normalization import Normalization
from realnvp_jax.networks.batch_statistics import BatchStatistics


class BatchNorm(Normalization):
    """Batch normalisation per channel, without gain or offset.

    As in the authors' code the cells of a mask's identity half still count in the statistics, as zeros: where they are
    half of the cells, the mean is half of the others'.

    Attributes:
      epsilon: added to the variance.
      lag: weight of the running statistics in training (`BatchStatistics`).
    """

    epsilon: float = 1e-4
    lag: float = 0.0

    def setup(self):
        """The statistics of the transformed half."""
        self.statistics = BatchStatistics(lag=self.lag)

    def statistics_of(self, x, *, train=False, axis_name=None, parity=None):
        """The batch's in training, the running ones otherwise."""
        mask = self._mask(parity)
        if mask is not None:
            x = mask.only_transformed(x)
        mean, variance = self.statistics(x, train=train, axis_name=axis_name)
        return mean, 0.5 * jnp.log(variance + self.epsilon)
