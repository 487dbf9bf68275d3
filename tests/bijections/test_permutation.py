"""Permutations as mixings."""

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.bijections.permutation import Permutation, Reversal
from realnvp_jax.bijections.stack import Stack
from tests.helpers import refusal, small


def test_every_layer_draws_a_permutation_of_its_own_that_is_not_trained():
    stack = Stack(Permutation(), 3)
    x = jnp.arange(24.0)[None]
    variables = stack.init(jax.random.key(0), x, method="forward")
    assert not variables.get("params")
    places = np.asarray(variables["constants"]["layer"]["places"])
    np.testing.assert_array_equal(np.sort(places, axis=1), np.tile(np.arange(24.0), (3, 1)))
    assert len({tuple(row) for row in places}) == 3
    z, log_det = stack.apply(variables, x, method="forward")
    assert sorted(z[0].tolist()) == x[0].tolist() != z[0].tolist()
    assert log_det == 0


def test_a_reversal_makes_the_other_half_the_transformed_one():
    np.testing.assert_array_equal(Reversal().apply({}, jnp.arange(4.0)[None], method="forward")[0][0], [3, 2, 1, 0])
    assert "use 'permutation' or 'lu'" in refusal(small, "vector_flow", mixing="reversal")
    flow = small("glow_flow", mixing="reversal", levels=17, num_steps=2)
    variables = flow.init(jax.random.key(0))["params"]["scales_0"]["behind"]["layers_0"]["layer"]
    assert sorted(variables) == ["layers_0", "layers_2"]
