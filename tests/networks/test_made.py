"""MADE is exactly autoregressive."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.mixtures import COMPONENTS
from realnvp_jax.networks.made import MADE, hidden_degrees
from tests.networks.helpers import assert_exactly_triangular, fresh, jacobian_and_log_det

KEY = jax.random.key(0)


MADES = {
    "natural, one layer": ((0, 1, 2, 3), (7,), False, 0),
    "reversed, two layers": ((3, 2, 1, 0), (6, 5), False, 0),
    "a permutation, three residual layers": ((2, 0, 3, 1), (8, 8, 8), True, 0),
    "linear": ((1, 0, 2), (), False, 0),
    "linear, with a context": ((1, 0, 2), (), False, 2),
    "with a context": ((2, 1, 0), (8, 8), True, 2),
    "more elements than units": (tuple(range(9)), (3,), False, 0),
    "one element": ((0,), (4, 4), False, 0),
}


@pytest.mark.parametrize("name", MADES)
@pytest.mark.parametrize("component", COMPONENTS)
def test_the_jacobian_of_made_is_exactly_triangular(name, component, x64):
    order, hidden, residual, context_size = MADES[name]
    transform = Mixture(3, component)
    made = MADE(order, hidden, transform.parameters_per_dim, context_size, "tanh", residual)
    bijection = Autoregressive(made, transform)
    x = jax.random.normal(KEY, (2, len(order)))
    context = jnp.array([[0.5, -0.3]]) if context_size else None
    variables = fresh(bijection, x, None if context is None else jnp.tile(context, (2, 1)))
    jacobian, log_det = jacobian_and_log_det(bijection, variables, x, context)
    assert_exactly_triangular(jacobian, order, log_det)
    below = np.abs(jacobian[np.ix_(order, order)][np.tril_indices(len(order), -1)])
    if name != "more elements than units":
        assert (below > 0).all()
    if context is not None:
        other = bijection.apply(variables, x[:1], context + 1, method="forward")[0]
        assert (other != bijection.apply(variables, x[:1], context, method="forward")[0]).all()


def test_degrees_of_hidden_units_cover_what_they_can():
    assert hidden_degrees(6, 4) == (1, 1, 2, 2, 3, 3)
    assert hidden_degrees(3, 9) == (1, 3, 6)
    assert hidden_degrees(2, 1) == (0, 0)
    counts = np.bincount(hidden_degrees(128, 8))
    assert counts[0] == 0
    assert set(counts[1:]) == {18, 19}
