"""Keys: one generator, whatever the implementation of a user's keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import vector_flow
from realnvp_jax.random import root_key, threefry_key
from tests.models.helpers import points


@pytest.mark.parametrize(
    "key",
    [
        jax.random.key(7),
        jax.random.key(7, impl="rbg"),
        jax.random.PRNGKey(7),
        jax.random.PRNGKey(7, impl="rbg"),
        np.array([0, 7], np.uint32),
    ],
    ids=["typed", "typed rbg", "raw", "raw rbg", "NumPy"],
)
def test_keys_of_one_seed_are_one_key(key):
    assert str(jax.random.key_impl(threefry_key(key))) == "threefry2x32"
    np.testing.assert_array_equal(jax.random.key_data(threefry_key(key)), jax.random.key_data(root_key(7)))
    inside = jax.jit(lambda key: jax.random.key_data(threefry_key(key)))(key)
    np.testing.assert_array_equal(inside, jax.random.key_data(root_key(7)))


@pytest.mark.parametrize("key", [None, 0, 1.5, "a", np.uint32(3), jnp.zeros(2), jax.random.split(jax.random.key(0))])
def test_what_is_not_one_key_is_refused(key, without_type_checks):
    with pytest.raises(TypeError, match=r"^expected one random key, such as jax.random.key\(0\); got ") as caught:
        threefry_key(key)
    assert len(str(caught.value)) < 200


def test_results_do_not_depend_on_the_default_implementation_or_the_batch():
    flow = vector_flow(2, 2, (4,))

    def results():
        params = flow.init(jax.random.key(0), points(2))
        draws = jax.vmap(lambda key: flow.sample(params, key))(jax.random.split(jax.random.key(1), 5))
        return params, draws, flow.sample(params, jax.random.key(2), 3)

    expected = results()
    with jax.default_prng_impl("rbg"):
        found = results()
        alone = flow.sample(found[0], jax.random.split(jax.random.key(1), 5)[3])
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    np.testing.assert_allclose(alone, expected[1][3], rtol=1e-6)
