"""Autoregressive flows: of mixtures, and of images by PixelCNN."""

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
from realnvp_jax.data.vectors.toy import sample_toy
from realnvp_jax.mixtures import BASES
from realnvp_jax.models import arguments
from tests.helpers import perturb, slow_but

KEY = jax.random.key(0)


@pytest.mark.parametrize("base", BASES)
def test_a_flow_of_one_component_is_a_normal_density_in_float32(base):
    x = 3 + 0.5 * jax.random.normal(KEY, (500, 1))
    flow = autoregressive_flow(1, num_components=1, hidden=(4,), base=base)
    expected = stats.norm.logpdf(x[:, 0], x.mean(), x.std())
    np.testing.assert_allclose(flow.log_prob(flow.init(KEY, x), x), expected, rtol=1e-6, atol=1e-6)


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


@pytest.mark.parametrize("name", slow_but(["uniform", "maf", "iaf"], FLOWS))
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


@pytest.mark.parametrize("name", slow_but(["uniform", "maf"], FLOWS))
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


@pytest.mark.slow
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


def test_the_order_of_elements():
    assert autoregressive_flow(3, order="reversed").bijection.bijection.conditioner.order == (2, 1, 0)
    assert autoregressive_flow(3, order=[1, 2, 0]).bijection.bijection.conditioner.order == (1, 2, 0)
    random = autoregressive_flow(6, order="random", seed=1).bijection.bijection.conditioner.order
    assert sorted(random) == list(range(6))
    assert random != autoregressive_flow(6, order="random", seed=2).bijection.bijection.conditioner.order


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def refused(message, call):
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        call()
    assert len(str(raised.value)) <= 400


def test_bad_input_gets_one_sentence():
    refused("expected num_components of at least 1; got 0", lambda: autoregressive_flow(2, num_components=0))
    refused("expected num_components of at least 1; got -1", lambda: pixelcnn_flow(num_components=-1))
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
