"""What all models of vectors share: standardisation, of the data as a part of the density, and of the context."""

import abc

from jaxtyping import Array

from realnvp_jax.bijections.act_norm import Standardize
from realnvp_jax.bijections.bijection import Bijection


class Standardized(Bijection):
    """Base class: standardisation in front of what a subclass does with standardised data and context."""

    def setup(self):
        """The two standardisations."""
        self.standardize = Standardize()
        self.standardize_context = Standardize()

    @abc.abstractmethod
    def forward_standardized(self, x, context=None, *, train=False, axis_name=None) -> tuple[Array, Array]:
        """Standardised data to latent: (z, log_det)."""

    @abc.abstractmethod
    def inverse_standardized(self, z, context=None) -> tuple[Array, Array]:
        """Latent to standardised data: (x, log_det)."""

    def forward(self, x, context=None, *, train=False, axis_name=None):
        """Data to latent."""
        x, log_det = self.standardize.forward(x, axis_name=axis_name)
        if context is not None:
            context, _ = self.standardize_context.forward(context, axis_name=axis_name)
        z, inner_log_det = self.forward_standardized(x, context, train=train, axis_name=axis_name)
        return z, log_det + inner_log_det

    def inverse(self, z, context=None):
        """Latent to data."""
        if context is not None:
            context, _ = self.standardize_context.forward(context)
        x, inner_log_det = self.inverse_standardized(z, context)
        x, log_det = self.standardize.inverse(x)
        return x, inner_log_det + log_det
