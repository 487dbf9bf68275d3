"""The variational dequantizer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax import VariationalDequantizer
from realnvp_jax.models.dequantizers import variational
from realnvp_jax.random import draw_each
from tests.helpers import perturb, refusal

LEVELS = 3


def flow_and_params(scale: float, size: int = 2, **choices):
    dequantizer = VariationalDequantizer(LEVELS, noise_couplings=3, noise_features=3, noise_blocks=1)
    sizes = {"num_scales": 1, "base_features": 2, "num_blocks": 1}
    flow = realnvp_jax.image_flow((size, size, 1), levels=LEVELS, dequantizer=dequantizer, **sizes, **choices)
    return flow, perturb(flow.init(jax.random.key(0)), jax.random.key(1), scale)


def pixels(num: int, size: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, LEVELS, (num, size, size, 1)).astype(np.uint8)


def test_it_starts_as_uniform_noise(x64):
    flow, params = flow_and_params(0.0)
    x = pixels(2000)
    mine = {"params": params["params"]["dequantizer"]}
    y, log_q = flow.dequantizer.apply(mine, jnp.asarray(x), jax.random.key(2), jnp.arange(2000))
    np.testing.assert_allclose(log_q, 0, atol=1e-12)
    np.testing.assert_array_equal(np.floor(y), x)
    noise = np.sort((y - x).ravel())
    assert np.abs(noise - (np.arange(noise.size) + 0.5) / noise.size).max() < 0.02  # Kolmogorov's distance


@pytest.mark.parametrize("context_size", [0, 2])
def test_log_q_is_the_density_of_the_noise(context_size, x64):
    flow, params = flow_and_params(0.4, context=context_size)
    mine = {"params": params["params"]["dequantizer"]}
    x, key, index = jnp.asarray(pixels(1)), jax.random.key(3), jnp.array([7])
    context = jnp.ones((1, 2)) if context_size else None
    y, log_q = flow.dequantizer.apply(mine, x, key, index, context)
    e = draw_each(jax.random.logistic, key, index, x.shape[1:], jnp.float64)

    def noise(flat):
        squeezed = flat.reshape(1, 1, 1, 4)

        def push(module):
            features, couplings = module.conditioned(x, context)
            return couplings.forward(squeezed, features)[0]

        pushed = flow.dequantizer.apply(mine, method=push)
        return jax.nn.sigmoid(pushed).ravel()

    flat = e.ravel()  # an image of 2x2 pixels is squeezed by reshaping
    np.testing.assert_allclose(noise(flat), (y - x).ravel(), atol=1e-12)
    log_base = jax.scipy.stats.logistic.logpdf(flat).sum()
    np.testing.assert_allclose(log_q[0], log_base - jnp.linalg.slogdet(jax.jacfwd(noise)(flat))[1], atol=1e-9)


def test_the_bound_tightens_towards_the_probability_of_the_pixels(x64):
    flow, params = flow_and_params(0.3)
    x = pixels(6)
    uniform = jax.random.uniform(jax.random.key(4), (20_000, 1, *x.shape[1:]))
    probability = jnp.exp(flow.log_prob(params, x[None] + uniform)).mean(axis=0)  # the integral over the pixels' cubes
    truth = -jnp.log2(probability).mean() / flow.num_dims
    keys = jax.random.split(jax.random.key(5), 30)

    def mean_bound(num_samples):
        return jax.vmap(lambda key: flow.bits_per_dim(params, key, x, num_samples=num_samples))(keys).mean()

    one, four, many = (mean_bound(count) for count in (1, 4, 256))
    assert one > four > many > truth - 2e-3
    assert one - truth > 0.02
    np.testing.assert_allclose(many, truth, atol=5e-3)


def test_every_parameter_gets_a_gradient():
    flow, params = flow_and_params(0.2, size=4)

    def loss(params):
        return flow.bits_per_dim_train(params, jax.random.key(6), pixels(8, 4))[0].mean()

    for path, gradient in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(loss))(params)["params"]["dequantizer"]):
        assert np.abs(gradient).max() > 0, jax.tree_util.keystr(path)


def test_noise_is_never_so_small_that_a_pixel_is_at_the_end_of_an_open_support(monkeypatch):
    flow, params = flow_and_params(0.0)
    monkeypatch.setattr(
        variational, "draw_each", lambda sampler, key, indices, shape, dtype: jnp.full((2, *shape), -95.0)
    )
    mine = {"params": params["params"]["dequantizer"]}
    y, log_q = flow.dequantizer.apply(mine, jnp.zeros((2, 2, 2, 1), jnp.uint8), jax.random.key(0), jnp.arange(2))
    assert realnvp_jax.Logit(LEVELS, 0.0).contains(y).all()
    assert np.isfinite(log_q).all()


def test_a_dequantizer_for_another_number_of_levels_is_refused():
    message = refusal(realnvp_jax.image_flow, (2, 2, 1), 1, levels=16, dequantizer=VariationalDequantizer())
    assert message == "expected a dequantizer for levels=16; got one for 256"


def test_odd_images_are_refused():
    message = refusal(lambda: flow_and_params(0.0, size=3))
    assert "expected images of even height and width for the variational dequantizer; got (3, 3, 1)" in message
