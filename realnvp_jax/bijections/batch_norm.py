"""Batch normalisation as a bijection (Section 3.7 of the paper).

    z = (x - mean) / sqrt(variance + epsilon),    log |det| = -1/2 sum log(variance + epsilon)

over the transformed half of the coupling before it. In training mean and variance are the batch's, with
gradients through them; the inverse and the evaluation mode use the running statistics.
"""

import math

import jax.numpy as jnp

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.masks import Checkerboard
from realnvp_jax.networks.batch_statistics import BatchStatistics


class BatchNorm(Bijection):
    """Batch normalisation per channel, without gain or offset.

    Attributes:
      mask: with a checkerboard mask, the cells of the identity half are left alone. As in the authors' code they
        still count in the statistics, as zeros: where they are half of the cells, the mean is half of the others'.
      epsilon: added to the variance.
    """

    mask: Checkerboard | None = None
    epsilon: float = 1e-4

    def setup(self):
        """The statistics of the transformed half."""
        self.statistics = BatchStatistics()

    def _mean_and_log_deviation(self, x, *, train=False, axis_name=None):
        if self.mask is not None:
            x = self.mask.only_transformed(x)
        mean, variance = self.statistics(x, train=train, axis_name=axis_name)
        return mean, 0.5 * jnp.log(variance + self.epsilon)

    def _log_det(self, log_deviation, x):
        positions = math.prod(x.shape[1:-1]) if self.mask is None else self.mask.num_transformed(x.shape)
        return jnp.broadcast_to(-positions * jnp.sum(log_deviation), x.shape[:1])

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Normalise."""
        mean, log_deviation = self._mean_and_log_deviation(x, train=train, axis_name=axis_name)
        z = (x - mean) * jnp.exp(-log_deviation)
        if self.mask is not None:
            z = self.mask.merge(x, z)
        return z, self._log_det(log_deviation, x)

    def inverse(self, z, context=None):
        """Undo the normalisation by the running statistics."""
        mean, log_deviation = self._mean_and_log_deviation(z)
        x = z * jnp.exp(log_deviation) + mean
        if self.mask is not None:
            x = self.mask.merge(z, x)
        return x, -self._log_det(log_deviation, z)
