"""The transform of autoregressive flows: the CDF of a mixture, to a uniform or normal distribution."""

from realnvp_jax.bijections.transforms.transform import Transform, by_element
from realnvp_jax.mixtures import BASES, COMPONENTS, mixture_forward, mixture_inverse, num_parameters
from realnvp_jax.registry import parameter


class Mixture(Transform):
    """The CDF of a mixture, to a uniform or normal distribution (`realnvp_jax.mixtures`).

    The transform of `autoregressive_flow` and `pixelcnn_flow`, whose latents have the base's support.
    """

    num_components: int = parameter(12, "components of every mixture", at_least=1)
    mixture: str = parameter("gaussian", "the mixture's components", choices=COMPONENTS)
    base: str = parameter("uniform", "distribution of the latents", choices=BASES)

    @property
    def parameters_per_dim(self) -> int:
        """3 K."""
        return num_parameters(self.num_components)

    def forward(self, x, raw):
        """Value and elementwise log-derivative."""
        return mixture_forward(x, by_element(x, raw, self.parameters_per_dim), self.mixture, self.base)

    def inverse(self, z, raw):
        """Value and elementwise log-derivative."""
        return mixture_inverse(z, by_element(z, raw, self.parameters_per_dim), self.mixture, self.base)
