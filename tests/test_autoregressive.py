"""Mixtures, autoregressive bijections and their conditioners, and the flows made of them."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import stats

import realnvp_jax
from realnvp_jax import autoregressive_flow, masked_autoregressive_flow, pixelcnn_flow
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.data.vectors.toy import sample_toy
from realnvp_jax.mixtures import (
    BASES,
    COMPONENTS,
    mixture_forward,
    mixture_inverse,
    normal_quantile,
    num_parameters,
)
from realnvp_jax.models import arguments
from realnvp_jax.models.masked_autoregressive import layer_orders
from realnvp_jax.networks.convolution import convolve, convolve_for_training
from realnvp_jax.networks.made import MADE, hidden_degrees
from realnvp_jax.networks.pixelcnn import CausalConv, PixelCNN
from realnvp_jax.networks.separate import SeparateNetworks
from tests.helpers import perturb

KEY = jax.random.key(0)

mixtures = pytest.mark.parametrize(("component", "base"), [(c, b) for c in COMPONENTS for b in BASES])


def latents(base: str, num: int) -> jax.Array:
    sampler = jax.random.uniform if base == "uniform" else jax.random.normal
    return sampler(jax.random.key(1), (num,))


# mixtures


@mixtures
@pytest.mark.parametrize("num_components", [1, 7])
def test_a_mixture_is_invertible_and_knows_its_derivative(component, base, num_components, x64):
    raw = 2 * jax.random.normal(KEY, (300, num_parameters(num_components)))
    z = latents(base, 300)
    x, inverse_log_derivative = jax.jit(mixture_inverse, static_argnums=(2, 3))(z, raw, component, base)
    back, log_derivative = mixture_forward(x, raw, component, base)
    np.testing.assert_allclose(back, z, atol=1e-11)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, atol=1e-9)
    slopes = jax.vmap(jax.grad(lambda x, raw: mixture_forward(x, raw, component, base)[0]))(x, raw)
    np.testing.assert_allclose(log_derivative, jnp.log(slopes), atol=1e-7)
    one_by_one = jax.vmap(lambda z, raw: mixture_inverse(z, raw, component, base)[0])(z[:20], raw[:20])
    np.testing.assert_allclose(one_by_one, x[:20], atol=1e-11)


def test_the_density_is_that_of_the_mixture(x64):
    """Two components, written out."""
    raw = jnp.array([[0.3, -0.4, 1.0, -1.5, 0.2, -0.1]])
    x = jnp.linspace(-4, 4, 50)
    z, log_density = mixture_forward(x, jnp.broadcast_to(raw, (50, 6)), "gaussian", "uniform")
    quantile = stats.norm.ppf(0.75)  # means start at the quartiles, scales such that the variance is 1
    weights = jax.nn.softmax(raw[0, :2])
    means = np.array([1 - quantile, -1.5 + quantile])
    scales = np.exp(8 * np.tanh(raw[0, 4:] / 8)) * np.sqrt(1 - quantile**2)
    density = sum(w * stats.norm.pdf(x, m, s) for w, m, s in zip(weights, means, scales, strict=True))
    distribution = sum(w * stats.norm.cdf(x, m, s) for w, m, s in zip(weights, means, scales, strict=True))
    np.testing.assert_allclose(log_density, jnp.log(density), atol=1e-9)
    np.testing.assert_allclose(z, distribution, atol=1e-9)


@pytest.mark.parametrize(("component", "variance"), [("gaussian", 1.0), ("logistic", np.pi**2 / 3)])
@pytest.mark.parametrize("num_components", [1, 2, 12])
def test_a_mixture_starts_at_mean_0_and_its_components_own_variance(component, variance, num_components, x64):
    x = jnp.linspace(-60, 60, 200_001)
    raw = jnp.zeros((len(x), num_parameters(num_components)))
    density = jnp.exp(mixture_forward(x, raw, component, "uniform")[1]) * (x[1] - x[0])
    np.testing.assert_allclose(density.sum(), 1, atol=1e-6)  # and the probabilities of a fine grid sum to 1
    np.testing.assert_allclose((density * x).sum(), 0, atol=1e-6)
    np.testing.assert_allclose((density * x**2).sum(), variance, rtol=1e-6)


@pytest.mark.parametrize("base", BASES)
def test_one_component_is_the_normal_distribution_itself(base, x64):
    x = jnp.linspace(-9, 9, 201)
    z, log_derivative = mixture_forward(x, jnp.zeros((201, 3)), "gaussian", base)
    expected, log_prob = (stats.norm.cdf(x), stats.norm.logpdf(x)) if base == "uniform" else (x, 0)
    np.testing.assert_allclose(z, expected, atol=1e-9)
    np.testing.assert_allclose(log_derivative, log_prob, atol=1e-9)


@pytest.mark.parametrize("base", BASES)
def test_a_flow_of_one_component_is_a_normal_density_in_float32(base):
    x = 3 + 0.5 * jax.random.normal(KEY, (500, 1))
    flow = autoregressive_flow(1, num_components=1, hidden=(4,), base=base)
    expected = stats.norm.logpdf(x[:, 0], x.mean(), x.std())
    np.testing.assert_allclose(flow.log_prob(flow.init(KEY, x), x), expected, rtol=1e-6, atol=1e-6)


def test_the_normal_quantile_in_both_tails(x64):
    from scipy.special import ndtri_exp

    log_odds = np.concatenate([np.linspace(-3000, 3000, 1001), np.linspace(-30, 30, 1001)])
    expected = -np.sign(log_odds) * ndtri_exp(-np.logaddexp(0, np.abs(log_odds)))
    np.testing.assert_allclose(normal_quantile(jnp.asarray(log_odds)), expected, rtol=1e-9, atol=1e-9)
    in_single = normal_quantile(jnp.asarray(log_odds, jnp.float32))
    np.testing.assert_allclose(in_single, expected, rtol=1e-5, atol=1e-6)
    far = np.geomspace(1e3, 1e35, 1001).astype(np.float32)  # there z^2 is 2 |log-odds|, and its slope 1 / |z|
    far = jnp.concatenate([-far, far])
    z, slope = jax.vmap(jax.value_and_grad(normal_quantile))(far)
    np.testing.assert_allclose(z * jnp.abs(z), 2 * far, rtol=0.02)
    np.testing.assert_allclose(slope * jnp.abs(z), 1, rtol=2e-3)


@mixtures
def test_far_points_have_finite_densities_and_gradients_in_float32(component, base):
    far = np.geomspace(50, 1e20, 100).astype(np.float32)
    x = jnp.concatenate([jnp.array([-50.0, 50.0]), -far, far])
    raw = jax.random.normal(KEY, (len(x), num_parameters(5)))

    def log_prob(x, raw):
        z, log_derivative = mixture_forward(x, raw, component, base)
        return jnp.sum(log_derivative + (0 if base == "uniform" else stats.norm.logpdf(z)))

    value, gradient = jax.jit(jax.value_and_grad(log_prob, (0, 1)))(x, raw)
    chex.assert_tree_all_finite((value, gradient))
    assert (gradient[0] * x <= 0).all()  # towards the data
    assert (gradient[0] * x < 0)[jnp.abs(x) < 1e12].all()
    with jax.enable_x64(True):
        exact = jax.vmap(log_prob)(x[:2].astype(jnp.float64), raw[:2].astype(jnp.float64))
    single = jax.vmap(log_prob)(x[:2], raw[:2])
    np.testing.assert_allclose(single, exact, rtol=1e-5)


def test_small_latents_have_quantiles_of_their_own():
    x = jnp.array([-12.0, -9.0, -7.0, -5.5, 0.0, 4.0])
    raw = jnp.zeros((6, 3))
    z, log_derivative = mixture_forward(x, raw, "gaussian", "uniform")
    back, inverse_log_derivative = mixture_inverse(z, raw, "gaussian", "uniform")
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(inverse_log_derivative, -log_derivative, rtol=1e-3)


def test_random_mixtures_have_probability_one(x64):
    x = jnp.linspace(-300, 300, 600_001)
    for seed in range(3):
        raw = jnp.broadcast_to(jax.random.normal(jax.random.key(seed), (num_parameters(4),)), (len(x), 12))
        density = jnp.exp(mixture_forward(x, raw, COMPONENTS[seed % 2], "uniform")[1])
        np.testing.assert_allclose(density.sum() * (x[1] - x[0]), 1, atol=1e-6)


def test_the_inverse_at_the_ends_of_the_square():
    raw = jax.random.normal(KEY, (4, num_parameters(3)))
    x, log_derivative = jax.jit(mixture_inverse, static_argnums=(2, 3))(
        jnp.array([0.0, 1.0, -0.1, 1.1]), raw, "gaussian", "uniform"
    )
    assert np.isfinite(x[:2]).all()
    assert np.isfinite(log_derivative[:2]).all()
    assert np.isnan(x[2:]).all()


@mixtures
def test_the_inverse_is_differentiable(component, base, x64):
    raw = jax.random.normal(KEY, (5, num_parameters(3)))
    z = latents(base, 5)

    def inverse(z, raw):
        return mixture_inverse(jnp.asarray(z), jnp.asarray(raw), component, base)

    jax.test_util.check_grads(jax.jit(inverse), (z, raw), order=1)


def test_the_search_ends_for_components_of_very_different_scales():
    """Two sharp modes far apart, and one that is very wide."""
    raw = jnp.broadcast_to(jnp.array([[0.0, 0.0, -3.0, -40.0, 40.0, 0.0, -7.0, -7.0, 7.0]]), (1001, 9))
    z = jnp.linspace(1e-4, 1 - 1e-4, 1001)
    x, _ = jax.jit(mixture_inverse, static_argnums=(2, 3))(z, raw, "gaussian", "uniform")
    assert (jnp.diff(x) >= 0).all()
    back, log_density = mixture_forward(x, raw, "gaussian", "uniform")
    resolution = np.spacing(np.abs(x)) * np.exp(log_density)  # of x, seen through the steep CDF
    np.testing.assert_array_less(np.abs(back - z), 1e-6 + 2 * resolution)


# conditioners: exactly autoregressive


def jacobian_and_log_det(bijection, variables, x, context=None):
    """d z / d x of the flattened first event, and its log_det."""

    def flat(event):
        z, log_det = bijection.apply(variables, event.reshape(1, *x.shape[1:]), context, method="forward")
        return z.ravel(), log_det[0]

    jacobian, log_det = jax.jit(jax.jacrev(flat, has_aux=True))(x[0].ravel())
    return np.asarray(jacobian), log_det


def fresh(bijection, x, context=None):
    """Perturbed variables."""
    return perturb(jax.jit(lambda key: bijection.init(key, x, context, method="forward"))(KEY), KEY)


def assert_exactly_triangular(jacobian, sequence, log_det):
    jacobian = jacobian[np.ix_(sequence, sequence)]
    above = jacobian[np.triu_indices(len(sequence), 1)]
    np.testing.assert_array_equal(above, 0.0)
    np.testing.assert_allclose(np.log(np.diag(jacobian)).sum(), log_det, atol=1e-9)


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


def test_separate_networks_are_exactly_autoregressive(x64):
    transform = Mixture(2)
    order = (1, 2, 0)
    bijection = Autoregressive(SeparateNetworks(order, (5,), transform.parameters_per_dim, 0, "tanh"), transform)
    x = jax.random.normal(KEY, (2, 3))
    jacobian, log_det = jacobian_and_log_det(bijection, fresh(bijection, x), x)
    assert_exactly_triangular(jacobian, order, log_det)


PIXELCNNS = {
    "one channel": ((4, 5, 1), 4, 1, 3),
    "two channels": ((3, 4, 2), 8, 2, 1),
    "three channels": ((3, 3, 3), 24, 1, 5),
}


@functools.cache
def pixelcnn(name: str):
    """(conditioner, bijection, variables, images) in float64."""
    shape, features, num_blocks, kernel_size = PIXELCNNS[name]
    transform = Mixture(2)
    conditioner = PixelCNN(shape, features, num_blocks, kernel_size, transform.parameters_per_dim)
    bijection = Autoregressive(conditioner, transform)
    x = jax.random.normal(KEY, (3, *shape))
    context = jnp.ones((3, 2))
    variables = jax.jit(lambda key: bijection.init(key, x, context, method="forward"))(KEY)
    return conditioner, bijection, perturb(variables, KEY, size=0.1), x, context


@pytest.mark.parametrize("name", PIXELCNNS)
def test_the_jacobian_of_pixelcnn_is_exactly_triangular(name, x64):
    _, bijection, variables, x, context = pixelcnn(name)
    jacobian, log_det = jacobian_and_log_det(bijection, variables, x, context[:1])
    assert_exactly_triangular(jacobian, np.arange(x[0].size), log_det)
    # every channel sees those before it at its own pixel, and the pixel to the left
    height, width, channels = x.shape[1:]
    by_place = jacobian.reshape(height * width, channels, height * width, channels)
    pixels = np.arange(width + 1, height * width)  # below the first row
    for c in range(channels):
        for before in (1, width):
            assert by_place[pixels, c, pixels - before].any()
        for earlier in range(c):
            assert by_place[pixels, c, pixels, earlier].any()


@pytest.mark.parametrize("name", PIXELCNNS)
def test_pixelcnn_one_pixel_at_a_time_is_pixelcnn(name, x64):
    conditioner, _, variables, x, context = pixelcnn(name)
    variables = {"params": variables["params"]["conditioner"]}
    whole = conditioner.apply(variables, x, context).reshape(len(x), x[0].size, -1)

    @jax.jit
    def step(state, k, value):
        raw, state = conditioner.apply(variables, state, k, context, method="parameters_of")
        return raw, conditioner.apply(variables, state, k, value, method="put")

    state = conditioner.apply(variables, len(x), x.dtype, method="start")
    for k in range(x[0].size):
        raw, state = step(state, k, x.reshape(len(x), -1)[:, k])
        np.testing.assert_allclose(raw, whole[:, k], atol=1e-9)
    np.testing.assert_array_equal(conditioner.apply(variables, state, method="event"), x)


def test_a_causal_convolution_is_the_masked_one_and_trains_with_the_same_gradient(x64):
    conv = CausalConv(6, 5, 2, is_type_a=True)
    x = jax.random.normal(KEY, (2, 16, 17, 2))
    variables = perturb(conv.init(KEY, x), KEY)
    kernel = variables["params"]["kernel"]
    full = jnp.zeros((5, 5, 2, 6)).at[:3].set(kernel)
    mask = np.zeros((5, 5, 2, 6), bool)
    mask[:2] = mask[2, :2] = True
    mask[2, 2, 0, 3:] = True  # features of the second group see the first channel of their own pixel
    expected = convolve(x, jnp.where(mask, full, 0)) + variables["params"]["bias"].reshape(1, 1, 1, -1)
    np.testing.assert_allclose(conv.apply(variables, x), expected, atol=1e-12)
    padding = ((2, 0), (2, 2))
    gradients = [
        jax.jit(jax.grad(lambda x, k, f=f: jnp.sum(jnp.sin(f(x, k, padding))), (0, 1)))(x, kernel)
        for f in (convolve, convolve_for_training)
    ]
    chex.assert_trees_all_close(*gradients, atol=1e-9)


# flows


def trained(flow, x, num_steps=100, learning_rate=3e-3, context=None):
    params = flow.init(KEY, x, context) if jnp.issubdtype(x.dtype, jnp.floating) else flow.init(KEY)
    return realnvp_jax.fit(
        flow,
        params,
        x,
        KEY,
        context=context,
        num_steps=num_steps,
        learning_rate=learning_rate,
        batch_size=128,
        progress=False,
    )


FLOWS = {
    "uniform": autoregressive_flow(2, num_components=5, hidden=(16, 16)),
    "normal": autoregressive_flow(2, 4, (16, 16), base="normal", residual=True),
    "logistic": autoregressive_flow(2, 4, (16,), conditioner="separate", base="normal", mixture="logistic"),
    "maf": masked_autoregressive_flow(2, num_layers=3, hidden=(16,), order="random"),
    "iaf": masked_autoregressive_flow(2, num_layers=2, hidden=(16,), inverse=True, normalization="act_norm"),
    "maf of splines": masked_autoregressive_flow(2, 2, (16,), transform="spline", num_bins=4, normalization="none"),
}


MOONS = sample_toy("moons", 2000, 0)


@functools.cache
def trained_on_moons(name: str):
    return trained(FLOWS[name], MOONS)


@pytest.mark.parametrize("name", FLOWS)
def test_sampling_then_forward_gives_back_the_noise_in_float32(name):
    flow, params = FLOWS[name], trained_on_moons(name)
    before = flow.log_prob(flow.init(KEY, MOONS), MOONS).mean()
    assert flow.log_prob(params, MOONS).mean() > before + 0.05
    noise = flow.base.sample(jax.random.key(5), (1000, 2))
    samples, log_det = flow.inverse(params, noise)
    back, forward_log_det = flow.forward(params, samples)
    errors = np.abs(back - noise)
    assert np.quantile(errors, 0.99) < 1e-5
    assert errors.max() < (1e-5 if name == "uniform" else 1e-4)  # dz/dx is over 100 in the tails of a normal base
    np.testing.assert_allclose(forward_log_det, -log_det, atol=1e-3)
    drawn, log_prob = flow.sample_and_log_prob(params, KEY, (50,))
    np.testing.assert_allclose(flow.log_prob(params, drawn), log_prob, atol=1e-3)


@pytest.mark.parametrize("name", FLOWS)
def test_the_contract_of_parameters(name):
    flow = FLOWS[name]
    params = flow.init(KEY)
    chex.assert_trees_all_equal_shapes_and_dtypes(jax.eval_shape(flow.init, KEY), params)
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(params))
    x = jax.random.normal(KEY, (6, 2))
    _, updated = flow.log_prob_train(params, x)
    chex.assert_trees_all_equal_structs(params, updated)
    gradient = jax.grad(lambda p: flow.log_prob(p, x).sum())(params)
    chex.assert_trees_all_equal_structs(gradient, params)
    np.testing.assert_allclose(
        jax.vmap(lambda x: flow.log_prob(params, x))(x), flow.log_prob(params, x), rtol=1e-5, atol=1e-5
    )
    assert hash(flow) == hash(FLOWS[name])


def test_densities_on_a_grid_sum_to_one():
    from realnvp_jax.plots import plane

    for name in ("uniform", "maf"):
        grid = plane.density_on_grid(FLOWS[name], trained_on_moons(name), *plane.limits_of(MOONS, 1.0), num=300)
        assert abs(grid.mass - 1) < 0.01


def test_points_at_50_deviations_of_a_trained_flow():
    angles = np.linspace(0, 2 * np.pi, 500, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    for name, flow in FLOWS.items():
        params = trained_on_moons(name)
        for distance in (50, 1000):
            far = MOONS.mean(0) + distance * MOONS.std(0) * directions
            gradient_fn = jax.value_and_grad(lambda p, x, f=flow: f.log_prob(p, x).sum(), (0, 1))
            chex.assert_tree_all_finite(gradient_fn(params, far))
            assert flow.log_prob(params, far).max() < -20, name


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


def test_the_order_of_elements():
    assert autoregressive_flow(3, order="reversed").bijection.bijection.conditioner.order == (2, 1, 0)
    assert autoregressive_flow(3, order=[1, 2, 0]).bijection.bijection.conditioner.order == (1, 2, 0)
    random = autoregressive_flow(6, order="random", seed=1).bijection.bijection.conditioner.order
    assert sorted(random) == list(range(6))
    assert random != autoregressive_flow(6, order="random", seed=2).bijection.bijection.conditioner.order


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


def test_conditional_densities():
    random = np.random.default_rng(0)
    context = random.standard_normal((2000, 1)).astype(np.float32)
    x = np.concatenate([3 * context, -context], axis=1) + 0.1 * random.standard_normal((2000, 2)).astype(np.float32)
    truth = -np.log(2 * np.pi * 0.1**2) - 1
    for flow in (
        autoregressive_flow(2, 2, (32,), context=1, conditioner="separate", base="normal"),
        masked_autoregressive_flow(2, 3, (32,), context=1, normalization="none"),
    ):
        params = trained(flow, x, 200, 1e-2, context)
        assert flow.log_prob(params, x, context).mean() > truth - 0.6
        assert flow.log_prob(params, x, context[::-1]).mean() < truth - 5
        assert flow.sample(params, KEY, (4,), context=context[:3]).shape == (4, 3, 2)


def test_every_element_depends_on_the_context_in_a_nonlinear_way():
    """The first element too, which sees nothing else, among many others."""
    random = np.random.default_rng(0)
    context = random.uniform(-1, 1, (4000, 1)).astype(np.float32)
    x = np.sin(6 * context) + 0.1 * random.standard_normal((4000, 20)).astype(np.float32)
    flow = autoregressive_flow(20, 1, (64,), context=1)
    params = trained(flow, x, 400, 1e-2, context)
    means = flow.sample(params, KEY, (200,), context=context[:100]).mean(0)
    errors = np.abs(means - np.sin(6 * context[:100])).mean(0)
    assert errors.max() < 0.25  # 0.64 without the context


def test_empty_batches():
    for flow in (FLOWS["uniform"], FLOWS["maf of splines"], pixelcnn_flow((2, 2, 1), 2, 1, 2, 1)):
        params = flow.init(KEY)
        empty = jnp.zeros((0, *flow.event_shape))
        assert flow.log_prob(params, empty).shape == (0,)
        assert flow.inverse(params, empty)[0].shape == empty.shape
        assert flow.sample(params, KEY, (0,)).shape == empty.shape


def test_images_with_pixelcnn():
    from realnvp_jax.data.images.shapes import sample_shapes

    images = sample_shapes(500, 0)[:, 6:14, 6:14]
    flow = pixelcnn_flow((8, 8, 1), levels=2, num_components=4, features=8, num_blocks=1, kernel_size=3)
    params = trained(flow, images)
    bits = flow.bits_per_dim(params, KEY, images)
    frequency = images.mean(0)
    histogram = -np.where(images, np.log2(frequency), np.log2(1 - frequency)).mean()
    assert 0 < bits.mean() < 0.8 * histogram
    noise = jax.random.uniform(KEY, (32, 8, 8, 1))
    x, log_det = flow.inverse(params, noise)
    back, forward_log_det = flow.forward(params, x)
    np.testing.assert_allclose(back, noise, atol=1e-5)
    np.testing.assert_allclose(log_det, -forward_log_det, rtol=1e-4, atol=1e-3)
    pixels = flow.to_uint8(flow.sample(params, KEY, (20,)))
    assert set(np.unique(pixels)) <= {0, 1}
    assert abs(pixels.mean() - images.mean()) < 0.2


def test_images_with_pixelcnn_under_a_context():
    flow = pixelcnn_flow((3, 3, 2), levels=4, num_components=2, features=8, num_blocks=1, context=2)
    params = perturb(flow.init(KEY), KEY, size=0.1)
    contexts = jax.random.normal(KEY, (4, 2))
    x, log_prob = flow.sample_and_log_prob(params, KEY, (3,), context=contexts)
    assert x.shape == (3, 4, 3, 3, 2)
    np.testing.assert_allclose(flow.log_prob(params, x, contexts), log_prob, rtol=1e-3)
    assert len(np.unique(flow.log_prob(params, x[0, 0], contexts))) == 4


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_the_default_features_fit_the_usual_channels(channels):
    assert pixelcnn_flow((32, 32, channels)).event_shape == (32, 32, channels)


def test_images_of_three_channels_on_a_normal_base():
    flow = pixelcnn_flow((3, 2, 3), num_components=3, features=12, num_blocks=1, base="normal", mixture="logistic")
    images = np.random.default_rng(0).integers(100, 120, (300, 3, 2, 3)).astype(np.uint8)
    params = trained(flow, images)
    assert flow.bits_per_dim(params, KEY, images).mean() < 6.5
    z = jax.random.normal(KEY, (200, 3, 2, 3))
    back, _ = flow.forward(params, flow.inverse(params, z)[0])
    np.testing.assert_allclose(back, z, atol=1e-3)  # 110 has only 17 bits behind the point, and the densities are steep
    far = jnp.full((1, 3, 2, 3), 1e6).at[0, 1, 1, 1].set(-1e5)
    gradient = jax.grad(lambda p, x: flow.log_prob(p, x).sum(), (0, 1))(params, far)
    chex.assert_tree_all_finite((flow.log_prob(params, far), gradient))


def test_uniform_pixels_have_almost_eight_bits():
    """A wide mixture follows the uniform density of [0, 256) but for its edges."""
    flow = pixelcnn_flow((2, 2, 1), features=4, num_blocks=1)
    images = np.random.default_rng(0).integers(0, 256, (4000, 2, 2, 1)).astype(np.uint8)
    params = trained(flow, images, num_steps=300, learning_rate=1e-2)
    assert flow.bits_per_dim(params, KEY, images).mean() == pytest.approx(8, abs=0.05)


def test_a_progress_bar_of_sampling(monkeypatch):
    from realnvp_jax import progress

    seen = []

    class Bar:
        def __init__(self, total, **options):
            self.n = 0
            seen.append(f"{total} steps")

        def update(self, count):
            self.n += count

        def close(self):
            seen.append(f"{self.n} done")

    monkeypatch.setattr(progress, "tqdm", Bar)
    monkeypatch.setattr(progress, "_bars", {"sampling": Bar(400)})  # of a loop that was interrupted
    flow = pixelcnn_flow((3, 4, 1), levels=2, num_components=1, features=4, num_blocks=1)
    params = flow.init(KEY)
    shown = flow.sample(params, KEY, (2,), progress=True)
    jax.effects_barrier()
    assert seen == ["400 steps", "0 done", "12 steps", "12 done"]
    np.testing.assert_array_equal(flow.sample(params, KEY, (2,)), shown)
    assert len(seen) == 4


# bad input


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        call()
    assert len(str(raised.value)) <= 400


def test_bad_input_gets_one_sentence():
    refused("expected num_components at least 1; got 0", lambda: autoregressive_flow(2, num_components=0))
    refused("expected num_components at least 1; got -1", lambda: pixelcnn_flow(num_components=-1))
    refused("order to be a permutation of 0 ... 2; got (0, 1, 1)", lambda: autoregressive_flow(3, order=(0, 1, 1)))
    refused("order to be a permutation of 0 ... 2; got (0, 1)", lambda: autoregressive_flow(3, order=(0, 1)))
    refused("order to be one of ('natural', 'reversed', 'random')", lambda: autoregressive_flow(3, order="raster"))
    refused("order to be one of ('reversed', 'random')", lambda: masked_autoregressive_flow(3, order="natural"))
    refused("num_dims of at least 1; got 0", lambda: autoregressive_flow(0))
    refused("num_layers of at least 1; got 0", lambda: masked_autoregressive_flow(2, num_layers=0))
    refused("mixture to be one of", lambda: autoregressive_flow(2, mixture="student"))
    refused("base to be one of ('uniform', 'normal')", lambda: autoregressive_flow(2, base="logistic"))
    refused("conditioner to be one of", lambda: autoregressive_flow(2, conditioner="pixelcnn"))
    refused("equal width for residual", lambda: autoregressive_flow(2, hidden=(8, 4), residual=True))
    refused("two or more hidden layers of", lambda: masked_autoregressive_flow(2, hidden=(8,), residual=True))
    refused("num_components to be an integer; got '2.5'", lambda: arguments.integer("num_components", 2.5))
    refused("every entry of hidden to be an integer; got '4.0'", lambda: arguments.widths((4.0,)))
    refused("hidden to be a tuple, such as (128, 128); got 5", lambda: arguments.widths(np.int64(5)))
    refused("context, a width, to be an integer", lambda: arguments.context_size(np.ones((3, 2))))
    refused("event_shape to be a tuple, such as (28, 28, 1); got 28", lambda: arguments.image_shape(28))
    refused("'made' for residual", lambda: autoregressive_flow(2, conditioner="separate", residual=True))
    refused("seed of at least 0", lambda: masked_autoregressive_flow(2, seed=-1))
    refused("widths of at least 1; got (0,)", lambda: masked_autoregressive_flow(2, hidden=(0,)))
    refused(
        "features to be a multiple of 6, twice the image's 3 channels, whose masks need a group of features each; "
        "got 64: try 66",
        lambda: pixelcnn_flow((32, 32, 3), features=64),
    )
    refused("an odd kernel_size", lambda: pixelcnn_flow(kernel_size=4))
    refused("expected event_shape (height, width, channels); got (20, 20)", lambda: pixelcnn_flow((20, 20)))
    refused("levels of at least 2; got 1", lambda: pixelcnn_flow(levels=1))
    flow = FLOWS["uniform"]
    params = flow.init(KEY)
    refused(
        "expected latents in [0, 1], the support of Uniform(); got values from -0.1 to 0.5",
        lambda: flow.inverse(params, jnp.array([[-0.1, 0.5]])),
    )
    refused("got values from 0.5 to 2", lambda: flow.inverse(params, np.array([0.5, 2.0])))
    refused("got values from 5 to 5", lambda: flow.inverse(params, np.array([np.nan, 5.0])))
    refused("shape of at least 0 samples; got (-1,)", lambda: flow.sample(params, KEY, (-1,)))
    x = np.ones((3, 2), np.float32)
    refused("expected parameters of this flow", lambda: flow.log_prob(autoregressive_flow(3, 5).init(KEY), x))
    maf = masked_autoregressive_flow(2, num_layers=2).init(KEY)
    refused("expected parameters of this flow", lambda: masked_autoregressive_flow(2).log_prob(maf, x))
    refused("no standard deviation to scale; got 0.5", lambda: flow.sample(params, KEY, (2,), temperature=0.5))
    outside = jax.jit(flow.inverse)(params, jnp.array([[-0.1, 0.5], [0.5, 0.5]]))[0]
    assert np.isnan(outside[0]).any()
    assert np.isfinite(outside[1]).all()
    refused("l2 of 0", lambda: realnvp_jax.fit(flow, params, sample_toy("moons", 100, 0), KEY, num_steps=1, l2=1.0))


def test_repr_shows_what_was_chosen():
    assert repr(pixelcnn_flow((20, 20, 1), levels=2, num_components=2)) == (
        "Flow(event_shape=(20, 20, 1), bijection=Autoregressive(conditioner=PixelCNN(event_shape=(20, 20, 1), "
        "features=48, num_blocks=5, kernel_size=5, parameters_per_dim=6), "
        "transform=Mixture(num_components=2)), base=Uniform(), preprocessing=Center(levels=2), levels=2)"
    )
