"""A flow as a NumPyro distribution and transform: the same density, under NumPyro's own machinery."""

import importlib.util
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import perturb, refusal, small

pytest.importorskip("numpyro")

import numpyro
import numpyro.distributions as dist
from numpyro.distributions import constraints
from numpyro.infer import MCMC, NUTS, Predictive

from realnvp_jax.interop.numpyro import FlowDistribution, FlowTransform


def test_density_and_samples_are_those_of_the_flow(flow, params):
    prior = FlowDistribution(flow, params)
    assert (prior.batch_shape, prior.event_shape) == ((), (3,))
    assert prior.support is constraints.real_vector
    x = prior.sample(jax.random.key(2), (4, 5))
    assert x.shape == (4, 5, 3)
    np.testing.assert_array_equal(x, flow.sample(params, jax.random.key(2), (4, 5)))
    np.testing.assert_array_equal(prior.log_prob(x), flow.log_prob(params, x))


def test_a_context_is_the_batch(conditional):
    flow, params, context = conditional
    posterior = FlowDistribution(flow, params, context)
    assert (posterior.batch_shape, posterior.event_shape) == ((2,), (3,))
    x = posterior.sample(jax.random.key(2), (4,))
    assert x.shape == (4, 2, 3)
    expected = flow.log_prob(params, x[:, 1], context[1])
    np.testing.assert_allclose(posterior.log_prob(x)[:, 1], expected, rtol=1e-5)
    assert posterior.to_event(1).log_prob(x).shape == (4,)
    assert "this flow is conditional" in refusal(FlowDistribution, flow, params)


def test_expand_and_plates(flow, params):
    expanded = FlowDistribution(flow, params).expand((4, 2))
    x = expanded.sample(jax.random.key(2), (5,))
    assert x.shape == (5, 4, 2, 3)
    np.testing.assert_allclose(expanded.log_prob(x), flow.log_prob(params, x), rtol=1e-5)

    def model():
        with numpyro.plate("rows", 6):
            numpyro.sample("x", FlowDistribution(flow, params))

    assert Predictive(model, num_samples=2)(jax.random.key(0))["x"].shape == (2, 6, 3)


def test_it_is_a_pytree_of_its_parameters(flow, params):
    prior = FlowDistribution(flow, params)
    x = prior.sample(jax.random.key(2))
    through_jit = jax.jit(lambda prior, x: prior.log_prob(x))(prior, x)
    np.testing.assert_allclose(through_jit, prior.log_prob(x), rtol=1e-5)
    gradient = jax.grad(lambda prior: prior.log_prob(x))(prior)
    expected = jax.grad(flow.log_prob)(params, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), gradient.params, expected)


def test_validation_rejects_values_outside_the_support():
    flow = small("image_flow", levels=4)
    params = flow.init(jax.random.key(0))
    pixels = FlowDistribution(flow, params, validate_args=True)
    low, high = flow.preprocessing.support
    assert low < 0 < 4 < high
    x = jnp.stack([jnp.full((4, 4, 1), 0.9 * high), jnp.full((4, 4, 1), 1.1 * high)])
    np.testing.assert_array_equal(pixels.support(x), [True, False])
    with pytest.warns(UserWarning, match="Out-of-support"):
        log_prob = pixels.log_prob(x)
    np.testing.assert_array_equal(jnp.isneginf(log_prob), [False, True])


def test_a_transform_of_its_base_is_the_flow(flow, params):
    transform = FlowTransform(flow, params)
    assert transform.domain is constraints.real_vector
    assert transform.codomain is constraints.real_vector
    pushed = dist.TransformedDistribution(dist.Normal(0, 1).expand((3,)).to_event(1), transform)
    assert (pushed.batch_shape, pushed.event_shape) == ((), (3,))
    x, intermediates = pushed.sample_with_intermediates(jax.random.key(2), (5,))
    np.testing.assert_allclose(pushed.log_prob(x), flow.log_prob(params, x), rtol=1e-4)
    np.testing.assert_allclose(pushed.log_prob(x, intermediates), flow.log_prob(params, x), rtol=1e-4)
    z = transform.inv(x)
    np.testing.assert_allclose(transform(z), x, rtol=1e-3, atol=1e-4)
    log_det = jnp.linalg.slogdet(jax.vmap(jax.jacobian(transform))(z))[1]
    np.testing.assert_allclose(transform.log_abs_det_jacobian(z, x), log_det, rtol=1e-3, atol=1e-3)


def test_a_transform_is_a_pytree_and_pickles(flow, params):
    transform = FlowTransform(flow, params)
    z = jnp.ones(3)
    np.testing.assert_allclose(jax.jit(lambda t, z: t(z))(transform, z), transform(z), rtol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transform))(z), transform(z))
    assert transform == FlowTransform(flow, params)
    assert transform != FlowTransform(flow, perturb(params, jax.random.key(5)))


def test_the_domain_of_a_uniform_base_is_the_unit_interval():
    flow = small("autoregressive_flow")
    transform = FlowTransform(flow, flow.init(jax.random.key(0)))
    np.testing.assert_array_equal(transform.domain(jnp.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.5]])), [True, False])
    pushed = dist.TransformedDistribution(dist.Uniform(0, 1).expand((3,)).to_event(1), transform)
    x = pushed.sample(jax.random.key(2), (5,))
    np.testing.assert_allclose(pushed.log_prob(x), flow.log_prob(transform.params, x), rtol=1e-3)


def test_a_conditional_flow_is_no_transform(conditional):
    assert "use FlowDistribution" in refusal(FlowTransform, *conditional[:2])


def test_without_numpyro_the_message_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "realnvp_jax.interop.numpyro")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"expected NumPyro, .*; got none: pip install 'realnvp-jax\[numpyro\]'"):
        importlib.import_module("realnvp_jax.interop.numpyro")


@pytest.mark.slow
def test_nuts_agrees_with_importance_sampling(moons):
    flow, params = moons

    def model(observed):
        x = numpyro.sample("x", FlowDistribution(flow, params))
        numpyro.sample("observed", dist.Normal(x[1], 0.1), obs=observed)

    mcmc = MCMC(
        NUTS(model), num_warmup=500, num_samples=1000, num_chains=2, chain_method="vectorized", progress_bar=False
    )
    mcmc.run(jax.random.key(2), observed=0.9)
    chains = mcmc.get_samples(group_by_chain=True)["x"]
    effective = numpyro.diagnostics.effective_sample_size(np.asarray(chains))
    mean, error = chains.mean((0, 1)), chains.std((0, 1)) / np.sqrt(effective)

    draws = flow.sample(params, jax.random.key(3), (100_000,))
    weights = jax.nn.softmax(jax.scipy.stats.norm.logpdf(0.9, draws[:, 1], 0.1))
    expected = weights @ draws
    expected_error = jnp.sqrt(jnp.square(weights) @ jnp.square(draws - expected))

    distance = jnp.abs(mean - expected) / jnp.hypot(error, expected_error)
    print(f"NUTS: {mean} +- {error} from {effective} effective draws")
    print(f"importance sampling: {expected} +- {expected_error}, {distance} errors apart")
    assert (effective > 100).all()
    assert (distance < 3).all()
    assert (jnp.abs(mean - draws.mean(0)) > 3 * error).all(), "the observation moves the mean"
