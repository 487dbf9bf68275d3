"""What all models of vectors share: standardization of the data, which is part of the density, and of the context."""

from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.mode import EVALUATE
from realnvp_jax.networks.statistics import StandardizationStatistics


class Standardized(Bijection):
    """Standardization, followed by a bijection of the standardized data, conditioned on the standardized context.

    Attributes:
      bijection: the bijection of standardized data.
    """

    is_elementary = False
    bijection: Bijection

    def setup(self):
        """The two standardizations."""
        self.standardize = Normalize(StandardizationStatistics())
        self.standardize_context = Normalize(StandardizationStatistics())

    def with_progress(self):
        """The same, with a progress bar where the inverse is a long loop."""
        return self.clone(bijection=self.bijection.with_progress())

    def forward(self, x, context=None, mode=EVALUATE):
        """Data to latent."""
        x, log_det = self.standardize.forward(x, None, mode)
        if context is not None:
            context, _ = self.standardize_context.forward(context, None, mode)
        z, inner_log_det = self.bijection.forward(x, context, mode)
        return z, log_det + inner_log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        if context is not None:
            context, _ = self.standardize_context.forward(context)
        x, inner_log_det = self.bijection.inverse(z, context)
        x, log_det = self.standardize.inverse(x)
        return x, inner_log_det + log_det
