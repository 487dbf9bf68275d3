"""Separate networks for each element."""

import jax

from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.networks.separate import SeparateNetworks
from tests.networks.helpers import assert_exactly_triangular, fresh, jacobian_and_log_det

KEY = jax.random.key(0)


def test_separate_networks_are_exactly_autoregressive(x64):
    transform = Mixture(2)
    order = (1, 2, 0)
    bijection = Autoregressive(SeparateNetworks(order, (5,), transform.parameters_per_dim, 0, "tanh"), transform)
    x = jax.random.normal(KEY, (2, 3))
    jacobian, log_det = jacobian_and_log_det(bijection, fresh(bijection, x), x)
    assert_exactly_triangular(jacobian, order, log_det)
