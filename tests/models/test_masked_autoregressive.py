"""Masked autoregressive flows, and their inverses."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import masked_autoregressive_flow
from realnvp_jax.models.masked_autoregressive import layer_orders
from tests.helpers import perturb

KEY = jax.random.key(0)


def test_an_iaf_is_a_maf_the_other_way(x64):
    sizes = {"num_dims": 3, "num_layers": 1, "hidden": (6,), "normalization": "none", "activation": "tanh"}
    maf, iaf = (masked_autoregressive_flow(**sizes, inverse=inverse) for inverse in (False, True))
    params = perturb(maf.init(KEY), KEY)
    params["standardization"] = jax.tree.map(jnp.zeros_like, params["standardization"])
    layer = params["params"]["bijection"]["layer"]["bijection"]["layers_0"]
    other = {"layer": {"bijection": {"layers_0": {"bijection": layer}}}}
    other = {**params, "params": {"bijection": other}}
    chex.assert_trees_all_equal_shapes(iaf.init(KEY)["params"], other["params"])
    x = jax.random.normal(KEY, (5, 3))
    chex.assert_trees_all_close(iaf.inverse(other, x), maf.forward(params, x), atol=1e-9)
    chex.assert_trees_all_close(iaf.forward(other, x), maf.inverse(params, x), atol=1e-9)


def test_batch_norm_of_an_iaf_is_that_of_the_batch_in_training(x64):
    flow = masked_autoregressive_flow(2, num_layers=2, hidden=(4,), inverse=True)
    x = 5 + 3 * jax.random.normal(KEY, (64, 2))
    params = flow.init(KEY)
    log_prob, updated = flow.log_prob_train(params, x)
    (mean,) = (v for k, v in flat(updated["batch_stats"]).items() if k.endswith("mean']"))
    assert mean.shape == (2, 2)
    np.testing.assert_allclose(mean[0], 0.1 * x.mean(0), atol=1e-9)
    assert not np.allclose(log_prob, flow.log_prob(params, x))


def flat(tree):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("num_dims", [2, 3, 6])
def test_the_orders_of_the_layers_of_maf(num_dims):
    natural = list(range(num_dims))
    np.testing.assert_array_equal(layer_orders("reversed", num_dims, 3, 0), [natural, natural[::-1], natural])
    for seed in range(20):
        orders = layer_orders("random", num_dims, 4, seed)
        np.testing.assert_array_equal(np.sort(orders, axis=1), [natural] * 4)
        assert (orders[1:] != orders[:-1]).any(axis=1).all()
        np.testing.assert_array_equal(orders, layer_orders("random", num_dims, 4, seed))
    np.testing.assert_array_equal(layer_orders("random", 1, 2, 0), [[0], [0]])


def test_the_depth_of_maf_does_not_change_the_program():
    def operations(num_layers: int) -> int:
        flow = masked_autoregressive_flow(3, num_layers=num_layers, hidden=(4,))
        shapes = jax.eval_shape(flow.init, KEY)
        lowered = jax.jit(flow.log_prob).lower(shapes, jax.ShapeDtypeStruct((8, 3), jnp.float32))
        return len(lowered.as_text().splitlines())

    assert operations(32) == operations(4)
