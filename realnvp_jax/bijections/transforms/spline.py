"""The transform of Neural Spline Flows (Durkan et al., 2019): a monotonic rational-quadratic spline."""

from realnvp_jax.bijections.transforms.transform import Transform, by_element
from realnvp_jax.registry import parameter, register
from realnvp_jax.splines import num_parameters, spline_forward, spline_inverse


@register("transform", "spline")
class Spline(Transform):
    """A rational-quadratic spline on [-tail_bound, tail_bound] and the identity outside (`realnvp_jax.splines`)."""

    num_bins: int = parameter(8, "bins of a spline", at_least=2, at_most=500)
    tail_bound: float = parameter(
        5.0, "a spline acts on [-tail_bound, tail_bound], in the units of the layer's input", above=0
    )

    @property
    def parameters_per_dim(self) -> int:
        """3 K - 1."""
        return num_parameters(self.num_bins)

    def forward(self, x, raw):
        """Value and elementwise log-derivative."""
        return spline_forward(x, by_element(x, raw, self.parameters_per_dim), self.tail_bound)

    def inverse(self, z, raw):
        """Value and elementwise log-derivative."""
        return spline_inverse(z, by_element(z, raw, self.parameters_per_dim), self.tail_bound)
