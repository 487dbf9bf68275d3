"""`Flow.to_nnx`: the flow's own numbers, and training as with any module of Flax NNX."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from tests.helpers import SMALL_FLOWS, perturb, slow_but, small


@pytest.mark.parametrize("name", slow_but(["glow_flow", "vector_flow"], SMALL_FLOWS))
def test_parameters_come_back(name):
    flow = small(name)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1))
    module = flow.to_nnx(params)
    assert jax.tree.structure(module.params) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, module.params, params)
    trainable = jax.tree.leaves(nnx.state(module, nnx.Param))
    assert sum(map(np.size, trainable)) == sum(map(np.size, jax.tree.leaves(params["params"])))
    statistics = jax.tree.leaves(nnx.state(module, nnx.BatchStat))
    assert len(statistics) == len(jax.tree.leaves(params["batch_stats"]))


def test_methods_are_those_of_the_flow():
    flow = small("image_flow", context=2)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), size=0.1)
    module = flow.to_nnx(params)
    context = jnp.ones((3, 2))
    x = module.sample(jax.random.key(2), (), context=context)
    np.testing.assert_array_equal(x, flow.sample(params, jax.random.key(2), context=context))
    np.testing.assert_array_equal(module.log_prob(x, context), flow.log_prob(params, x, context))
    z, _ = flow.forward(params, x, context)
    options = {"context": context, "temperature": 0.5}
    for got, expected in (
        (module.forward(x, context), flow.forward(params, x, context)),
        (module.inverse(z, context), flow.inverse(params, z, context)),
        (
            module.sample_and_log_prob(jax.random.key(2), (2,), **options),
            flow.sample_and_log_prob(params, jax.random.key(2), (2,), **options),
        ),
    ):
        jax.tree.map(np.testing.assert_array_equal, got, expected)
    pixels = flow.to_uint8(x)
    expected = flow.bits_per_dim(params, jax.random.key(3), pixels, context, num_samples=2)
    np.testing.assert_array_equal(module.bits_per_dim(jax.random.key(3), pixels, context, num_samples=2), expected)


def test_training_passes_update_the_statistics_in_place():
    flow = small("image_flow")
    params = flow.init(jax.random.key(0))
    x = jax.random.uniform(jax.random.key(1), (8, 4, 4, 1), maxval=256.0)
    module = flow.to_nnx(params)
    expected, updated = flow.log_prob_train(params, x)
    np.testing.assert_array_equal(module.log_prob_train(x), expected)
    jax.tree.map(np.testing.assert_array_equal, module.params, updated)
    assert not jax.tree.all(jax.tree.map(np.array_equal, updated["batch_stats"], params["batch_stats"]))
    pixels = flow.to_uint8(x)
    expected, updated = flow.bits_per_dim_train(updated, jax.random.key(2), pixels)
    np.testing.assert_array_equal(module.bits_per_dim_train(jax.random.key(2), pixels), expected)
    jax.tree.map(np.testing.assert_array_equal, module.params, updated)


def test_it_trains_with_optax():
    flow = small("vector_flow", normalization="batch_norm")
    x = jnp.sinh(jax.random.normal(jax.random.key(0), (256, 3)))
    module = flow.to_nnx(flow.init(jax.random.key(1), x))
    optimizer = nnx.Optimizer(module, optax.adam(1e-2), wrt=nnx.Param)
    before = module.params

    @nnx.jit
    def step(module, optimizer, x):
        loss, gradients = nnx.value_and_grad(lambda module: -module.log_prob_train(x).mean())(module)
        optimizer.update(module, gradients)
        return loss

    losses = [float(step(module, optimizer, x)) for _ in range(100)]
    assert losses[-1] < losses[0] - 0.3
    after = module.params
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
    assert all(jax.tree.leaves(changed["params"]))
    assert all(jax.tree.leaves(changed["batch_stats"]))
    assert not any(jax.tree.leaves(changed["standardization"]))
    assert module.log_prob(x).mean() > flow.log_prob(before, x).mean()


def test_bad_parameters_have_a_sentence():
    with pytest.raises(ValueError, match=r"expected the dict .*; got"):
        small("vector_flow").to_nnx({"weights": 1.0})
