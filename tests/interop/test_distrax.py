"""A flow in the shape of Distrax's distributions and bijectors, with Distrax where it is installed."""

import importlib.util
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.interop.distrax import FlowBijector, FlowDistribution
from tests.helpers import refusal


@pytest.fixture(scope="module")
def distrax():
    if importlib.util.find_spec("distrax") is None:
        pytest.skip("Distrax is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TensorFlow Probability
        import distrax
    return distrax


def test_a_distribution(flow, params):
    density = FlowDistribution(flow, params)
    assert (density.name, density.event_shape, density.batch_shape) == ("FlowDistribution", (3,), ())
    x, log_prob = density.sample_and_log_prob(seed=jax.random.key(2), sample_shape=(4, 5))
    assert x.shape == (4, 5, 3)
    assert x.dtype == density.dtype
    np.testing.assert_array_equal(density.sample(seed=jax.random.key(2), sample_shape=(4, 5)), x)
    np.testing.assert_allclose(density.log_prob(x), log_prob, rtol=1e-4)
    np.testing.assert_array_equal(density.log_prob(x), flow.log_prob(params, x))
    np.testing.assert_allclose(density.prob(x), jnp.exp(log_prob), rtol=1e-4)
    np.testing.assert_array_equal(density.sample(seed=3), density.sample(seed=jax.random.key(3)))
    assert density.sample(seed=np.int64(3), sample_shape=2).shape == (2, 3)


def test_a_context_is_the_batch(conditional):
    flow, params, context = conditional
    density = FlowDistribution(flow, params, context)
    assert density.batch_shape == (2,)
    x = density.sample(seed=0, sample_shape=4)
    assert x.shape == (4, 2, 3)
    np.testing.assert_allclose(density.log_prob(x)[:, 1], flow.log_prob(params, x[:, 1], context[1]), rtol=1e-5)
    bijector = FlowBijector(flow, params, context)
    z, log_det = bijector.inverse_and_log_det(x)
    np.testing.assert_allclose(density.log_prob(x), flow.base.log_density(z).sum(-1) + log_det, rtol=1e-5)


def test_a_bijector_goes_from_latent_to_data(flow, params):
    bijector = FlowBijector(flow, params)
    assert (bijector.name, bijector.event_ndims_in, bijector.event_ndims_out) == ("FlowBijector", 1, 1)
    assert not bijector.is_constant_jacobian
    assert not bijector.is_constant_log_det
    assert bijector.same_as(bijector)
    assert not bijector.same_as(FlowBijector(flow, params))
    z = jax.random.normal(jax.random.key(2), (4, 5, 3))
    x, log_det = bijector.forward_and_log_det(z)
    np.testing.assert_array_equal(x, flow.inverse(params, z)[0])
    np.testing.assert_array_equal(bijector.forward(z), x)
    np.testing.assert_array_equal(bijector.forward_log_det_jacobian(z), log_det)
    np.testing.assert_allclose(bijector.inverse(x), z, atol=1e-4)
    np.testing.assert_allclose(bijector.inverse_log_det_jacobian(x), -log_det, atol=1e-4)


@pytest.mark.parametrize("made", [FlowDistribution, FlowBijector])
def test_both_are_pytrees_of_their_parameters(flow, params, made):
    same = jax.jit(lambda x: x)(made(flow, params))
    assert isinstance(same, made)
    assert same.flow == flow
    jax.tree.map(np.testing.assert_array_equal, same.params, params)


@pytest.mark.parametrize("made", [FlowDistribution, FlowBijector])
def test_a_wrong_context_is_refused_at_once(flow, params, conditional, made):
    assert "this flow is conditional" in refusal(made, *conditional[:2])
    assert "expected context of shape (*batch, 2); got (3,)" in refusal(made, *conditional[:2], np.ones(3))
    with pytest.raises(ValueError, match="expected no context"):
        made(flow, params, np.ones(2))


@pytest.mark.parametrize("made", [FlowDistribution, FlowBijector])
def test_jax_may_put_anything_in_place_of_the_arrays(conditional, made):
    instance = made(*conditional)
    shapes = jax.tree.map(np.shape, instance)
    assert shapes.context == (2, 2)
    axes = jax.tree.map(lambda leaf: None, instance)
    axes.__dict__["context"] = 0
    x = jnp.zeros((2, 3))
    method = "log_prob" if made is FlowDistribution else "inverse_log_det_jacobian"
    each = jax.vmap(lambda instance, x: getattr(instance, method)(x), in_axes=(axes, 0))(instance, x)
    np.testing.assert_allclose(each, getattr(instance, method)(x), rtol=1e-5)
    (path, _), *_ = jax.tree_util.tree_flatten_with_path(instance)[0]
    assert jax.tree_util.keystr(path).startswith(".params[")


def test_distrax_is_not_imported():
    code = (
        "import sys, jax, realnvp_jax\n"
        "flow = realnvp_jax.vector_flow(2, 1, (2,))\n"
        "density = realnvp_jax.interop.distrax.FlowDistribution(flow, flow.init(jax.random.key(0)))\n"
        "assert density.sample(seed=0).shape == (2,)\n"
        "assert 'distrax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_within_independent(distrax, conditional):
    flow, params, context = conditional
    both = distrax.Independent(FlowDistribution(flow, params, context), reinterpreted_batch_ndims=1)
    assert (both.batch_shape, both.event_shape) == ((), (2, 3))
    x, log_prob = both.sample_and_log_prob(seed=0, sample_shape=4)
    assert x.shape == (4, 2, 3)
    np.testing.assert_allclose(log_prob, flow.log_prob(params, x, context).sum(-1), rtol=1e-4)
    np.testing.assert_allclose(both.log_prob(x), log_prob, rtol=1e-4)


def test_a_bijector_within_transformed_is_the_flow(distrax, flow, params):
    base = distrax.MultivariateNormalDiag(jnp.zeros(3), jnp.ones(3))
    pushed = distrax.Transformed(base, FlowBijector(flow, params))
    assert (pushed.batch_shape, pushed.event_shape, pushed.dtype) == ((), (3,), jnp.float32)
    x, log_prob = pushed.sample_and_log_prob(seed=0, sample_shape=(4, 5))
    np.testing.assert_allclose(log_prob, flow.log_prob(params, x), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(pushed.log_prob(x), flow.log_prob(params, x), rtol=1e-4, atol=1e-4)
    through_jit = jax.jit(lambda pushed, x: pushed.log_prob(x))(pushed, x)
    np.testing.assert_allclose(through_jit, log_prob, rtol=1e-4, atol=1e-4)


def test_a_distribution_within_transformed(distrax, flow, params):
    doubled = distrax.Transformed(
        FlowDistribution(flow, params), distrax.Block(distrax.ScalarAffine(1.0, 2.0), ndims=1)
    )
    x, log_prob = doubled.sample_and_log_prob(seed=0, sample_shape=4)
    expected = flow.log_prob(params, (x - 1) / 2) - 3 * jnp.log(2.0)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)
    np.testing.assert_allclose(doubled.log_prob(x), expected, rtol=1e-4)


def test_a_chain_with_the_inverse_is_the_identity(distrax, flow, params):
    bijector = FlowBijector(flow, params)
    identity = distrax.Chain([distrax.Inverse(bijector), bijector])
    z = jax.random.normal(jax.random.key(2), (4, 3))
    same, log_det = identity.forward_and_log_det(z)
    np.testing.assert_allclose(same, z, atol=1e-4)
    np.testing.assert_allclose(log_det, 0, atol=1e-4)
