"""The contract of Flow."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax import Chain, Flow, Rescale, Uniform, image_flow
from realnvp_jax.models import pure
from realnvp_jax.models.inputs import sample_request
from realnvp_jax.models.rounding import RoundingWarning
from tests.helpers import perturb, slow_but

FLOW = image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1, levels=17)
ONE_SCALE = image_flow((4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=17)
CONDITIONAL = image_flow((2, 2, 1), num_scales=1, base_features=4, num_blocks=1, levels=4, context=3)
UNIFORM = Flow((8, 8, 3), Chain(), base=Uniform(), preprocessing=Rescale(256), levels=256)


@functools.cache
def params_of(flow: Flow):
    return perturb(flow.init(jax.random.key(0)), jax.random.key(1))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 17, (5, 4, 4, 1)).astype(np.uint8)


@pytest.fixture
def x(pixels):
    return FLOW.dequantize(jax.random.key(2), pixels)


@pytest.mark.parametrize(
    ("flow", "count"),
    [
        (image_flow(), 19_609_545),
        (image_flow((32, 32, 3), num_scales=4, base_features=32, num_blocks=4), 46_220_359),
        (image_flow((64, 64, 3), 5, 32, 2), 96_363_237),
    ],
)
def test_the_papers_models_have_the_papers_number_of_parameters(flow, count):
    params = jax.eval_shape(flow.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params["params"])) == count


def test_uniform_pixels_have_exactly_eight_bits():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    params = UNIFORM.init(jax.random.key(0))
    np.testing.assert_allclose(UNIFORM.bits_per_dim(params, jax.random.key(1), pixels), 8, atol=1e-6)
    bound = UNIFORM.bits_per_dim(params, jax.random.key(1), pixels, num_samples=3)
    np.testing.assert_allclose(bound, 8, atol=1e-6)


def test_round_trip_and_jacobian_with_preprocessing(x64):
    flow = image_flow((2, 2, 1), num_scales=2, base_features=4, num_blocks=1, levels=17)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1))
    x = jax.random.uniform(jax.random.key(2), (2, 2, 2, 1), minval=0.5, maxval=16.5)
    z, log_det = flow.forward(params, x)
    back, inverse_log_det = flow.inverse(params, z)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-9)
    jacobian = jax.jit(jax.jacrev(lambda flat: flow.forward(params, flat.reshape(2, 2, 1))[0].ravel()))(x[0].ravel())
    np.testing.assert_allclose(log_det[0], jnp.linalg.slogdet(jacobian)[1], atol=1e-9)
    np.testing.assert_allclose(flow.log_prob(params, x), flow.base.log_density(z).sum((1, 2, 3)) + log_det, atol=1e-9)


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(image_flow((6, 10, 1), num_scales=2, base_features=2, num_blocks=1), marks=pytest.mark.slow),
        pytest.param(
            image_flow((8, 8, 2), num_scales=3, base_features=2, num_blocks=1, levels=4), marks=pytest.mark.slow
        ),
        image_flow((7, 5, 3), num_scales=1, base_features=2, num_blocks=1, levels=2, alpha=0.1),
    ],
    ids=str,
)
def test_other_sizes_round_trip(flow, x64):
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), size=0.1)
    pixels = np.random.default_rng(0).integers(0, flow.levels, (2, *flow.event_shape))
    x = flow.dequantize(jax.random.key(1), pixels)
    z, log_det = flow.forward(params, x)
    assert z.shape == x.shape
    back, inverse_log_det = flow.inverse(params, z)
    np.testing.assert_allclose(back, x, atol=1e-8)
    np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-8)
    np.testing.assert_array_equal(flow.to_uint8(back + 1e-7), pixels)


def test_a_density_of_one_pixel_integrates_to_one(x64):
    flow = image_flow((1, 1, 1), num_scales=1, base_features=2, num_blocks=1, levels=4)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1))
    ends = 4 * np.array([-0.05, 0.95]) / 0.9
    edges = np.linspace(*ends, 20_001)
    middles = (edges[1:] + edges[:-1]) / 2
    density = np.exp(flow.log_prob(params, middles.reshape(-1, 1, 1, 1)))
    assert np.sum(density * np.diff(edges)) == pytest.approx(1, abs=1e-3)


def test_any_number_of_leading_dimensions(x):
    params = params_of(FLOW)
    log_prob = FLOW.log_prob(params, x)
    chex.assert_shape(log_prob, (5,))
    chex.assert_trees_all_close(FLOW.log_prob(params, x[2]), log_prob[2], rtol=1e-5)
    chex.assert_trees_all_close(FLOW.log_prob(params, x[None, :, None]), log_prob[None, :, None], rtol=1e-5)
    z, log_det = FLOW.forward(params, x[0])
    assert z.shape == FLOW.event_shape
    assert log_det.shape == ()
    back, _ = FLOW.inverse(params, z)
    chex.assert_trees_all_close(back, x[0], atol=1e-2)


def test_log_prob_of_an_image_does_not_depend_on_its_batch(x):
    params = params_of(FLOW)
    others = x.at[1:].set(3.3)
    np.testing.assert_allclose(FLOW.log_prob(params, x)[0], FLOW.log_prob(params, others)[0], rtol=1e-6)
    np.testing.assert_allclose(FLOW.log_prob(params, x)[0], FLOW.log_prob(params, x[:1])[0], rtol=1e-6)


def test_samples_have_the_density_that_is_said(x64):
    params = params_of(FLOW)
    samples, log_prob = FLOW.sample_and_log_prob(params, jax.random.key(0), (3, 2))
    assert samples.shape == (3, 2, 4, 4, 1)
    np.testing.assert_allclose(FLOW.log_prob(params, samples), log_prob, rtol=1e-6)
    np.testing.assert_array_equal(FLOW.sample(params, jax.random.key(0), (3, 2)), samples)
    assert FLOW.sample(params, jax.random.key(0)).shape == FLOW.event_shape
    pixels = FLOW.to_uint8(samples)
    assert pixels.dtype == jnp.uint8
    assert int(pixels.max()) <= 16


@pytest.mark.parametrize("temperature", [1.0, 3.0, 10.0])
def test_the_log_prob_of_a_sample_is_that_of_the_sample_even_at_the_ends_of_the_support(temperature):
    """Pixels close to the ends of their support are rounded, and clipped to stay inside."""
    flow = image_flow((2, 2, 1), 1, 2, 1, 16, normalization="none")
    params = flow.init(jax.random.key(0))
    samples, log_prob = flow.sample_and_log_prob(params, jax.random.key(1), (300,), temperature=temperature)
    np.testing.assert_allclose(log_prob, flow.log_prob(params, samples), atol=5e-3)
    at_once = flow.sample(params, jax.random.key(1), (300,), temperature=temperature)
    np.testing.assert_allclose(at_once, samples, rtol=1e-6)


def test_samples_that_are_not_inverted_exactly_are_warned_of():
    flow = realnvp_jax.vector_flow(2, 6, (8,), transform="spline")
    params = flow.init(jax.random.key(0))
    strong = perturb(params, jax.random.key(1), 2.0)
    expected = flow.sample_and_log_prob(strong, jax.random.key(2), 50)
    with pytest.warns(RoundingWarning, match=r"inexact by up to .* nats, where 0\.1 is the bound: its layers amplify"):
        checked = flow.sample_and_log_prob(strong, jax.random.key(2), 50, check=True)
    chex.assert_trees_all_equal(checked, expected)
    flow.sample_and_log_prob(params, jax.random.key(2), 50, check=True)  # no warning, which would be an error here
    flow.sample_and_log_prob(params, jax.random.key(2), 0, check=True)
    with pytest.raises(ValueError, match="expected check=False under a JAX transformation"):
        jax.jit(lambda key: flow.sample_and_log_prob(params, key, 2, check=True))(jax.random.key(0))


@pytest.mark.parametrize(
    ("error", "options", "message"),
    [
        (TypeError, {"temperature": "x"}, "a temperature that is one number; got 'x'"),
        (TypeError, {"temperature": None}, "a temperature that is one number; got 'None'"),
        (TypeError, {"temperature": np.ones(2)}, "a temperature that is one number"),
        (ValueError, {"temperature": np.inf}, "expected a finite temperature of at least 0; got inf"),
        (ValueError, {"temperature": np.nan}, "expected a finite temperature of at least 0; got nan"),
        (TypeError, {"shape": 1.5}, "expected a shape of integers, such as 5 or (2, 3); got '1.5'"),
        (TypeError, {"shape": "5"}, "expected a shape of integers"),
        (ValueError, {"shape": (-1,)}, "expected a shape of at least 0 samples; got (-1,)"),
    ],
)
def test_requests_for_samples_that_make_no_sense(error, options, message, without_type_checks):
    request = {"params": {}, "key": jax.random.key(0), "shape": (), "context": None, "temperature": 1.0, **options}
    refused(error, message, lambda: sample_request(UNIFORM, **request))


def test_a_shape_of_samples_may_be_an_array():
    params = UNIFORM.init(jax.random.key(0))
    request = sample_request(UNIFORM, params, jax.random.key(0), np.array([2, 3]), None, 1)
    assert request.batch == (2, 3)


def test_temperature_zero_is_the_image_of_the_mode():
    params = params_of(FLOW)
    cold = FLOW.sample(params, jax.random.key(0), (2,), temperature=0.0)
    expected, _ = FLOW.inverse(params, jnp.zeros((1, *FLOW.event_shape)))
    np.testing.assert_allclose(cold, jnp.broadcast_to(expected, cold.shape), atol=1e-4)


def test_outside_of_the_support_the_density_is_zero(x):
    params = params_of(FLOW)
    far = x.at[0, 1, 2, 0].set(17 * 0.95 / 0.9 + 0.1).at[1].set(-2.0).at[2, 0, 0, 0].set(jnp.nan)
    log_prob, gradient = jax.jit(jax.value_and_grad(lambda x: FLOW.log_prob(params, x)[3:].sum()))(far)
    values = FLOW.log_prob(params, far)
    np.testing.assert_array_equal(values[:2], -jnp.inf)
    assert jnp.isnan(values[2])
    assert jnp.isfinite(log_prob)
    assert jnp.isfinite(gradient[3:]).all()
    wide = x.at[0, 0, 0, 0].set(-0.5).at[0, 1, 1, 0].set(17.5)  # not pixels, but in the support
    assert jnp.isfinite(FLOW.log_prob(params, wide)).all()


@pytest.mark.parametrize(
    "flow", [ONE_SCALE, pytest.param(FLOW, marks=pytest.mark.slow)], ids=["one scale", "two scales"]
)
def test_goes_through_jit_grad_vmap_and_pmap(flow, x):
    params = params_of(flow)
    expected = flow.log_prob(params, x)
    chex.assert_trees_all_close(jax.jit(flow.log_prob)(params, x), expected, rtol=1e-6)
    chex.assert_trees_all_close(jax.vmap(lambda one: flow.log_prob(params, one))(x), expected, rtol=1e-5)
    chex.assert_trees_all_close(jax.pmap(flow.log_prob, in_axes=(None, 0))(params, x[None])[0], expected, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda p: flow.log_prob(p, x).sum()))(params)
    chex.assert_trees_all_equal_structs(gradient, params)
    chex.assert_tree_all_finite(gradient)


def test_every_leaf_is_floating_point_and_the_structures_agree(x):
    params = params_of(FLOW)
    assert all(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(params))
    assert set(params) == {"params", "batch_stats"}
    _, updated = FLOW.log_prob_train(params, x)
    chex.assert_trees_all_equal_structs(params, updated)
    chex.assert_trees_all_equal(params["params"], updated["params"])
    chex.assert_trees_all_equal(FLOW.init(jax.random.key(3), x), FLOW.init(jax.random.key(3)))
    shapes = jax.eval_shape(FLOW.init, jax.random.key(0))
    chex.assert_trees_all_equal_shapes_and_dtypes(shapes, params)


@pytest.mark.parametrize("method", slow_but(["log_prob", "sample"], ["log_prob", "forward", "inverse", "sample"]))
def test_compiles_once_for_each_shape_and_value(x, method):
    params = params_of(FLOW)
    cache = getattr(pure, method)
    same = image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1, levels=17)
    assert same == FLOW
    assert hash(same) == hash(FLOW)

    def call(flow, seed):
        if method == "sample":
            return flow.sample(params, jax.random.key(seed), (5,), temperature=0.5 + seed)
        return getattr(flow, method)(params, x + 0.1 * seed)

    call(FLOW, 0)
    before = cache._cache_size()
    call(FLOW, 1)
    call(same, 2)
    assert cache._cache_size() == before


def test_an_empty_batch_has_no_densities():
    empty = jnp.zeros((0, *FLOW.event_shape))
    assert FLOW.log_prob(params_of(FLOW), empty).shape == (0,)


def test_missing_statistics_are_refused(x):
    params = params_of(FLOW)
    for call in (FLOW.log_prob, FLOW.forward):
        refused(ValueError, "expected parameters of this flow", lambda call=call: call({"params": params["params"]}, x))


def test_repr_is_one_readable_line():
    assert repr(FLOW) == (
        "Flow(event_shape=(4, 4, 1), bijection=RealNVP(channels=1, num_scales=2, "
        "conditioner=ResNet(base_features=2, num_blocks=1)), "
        "base=Normal(), preprocessing=Logit(levels=17, alpha=0.05), levels=17)"
    )


def test_bits_per_dim_is_the_density_and_nothing_else(pixels):
    params = params_of(FLOW)
    key = jax.random.key(4)
    bits = FLOW.bits_per_dim(params, key, pixels)
    chex.assert_shape(bits, (5,))
    np.testing.assert_allclose(bits[:2], FLOW.bits_per_dim(params, key, pixels[:2]), rtol=1e-5)
    np.testing.assert_array_equal(bits, FLOW.bits_per_dim(params, key, pixels))
    assert FLOW.bits_per_dim(params, key, pixels[0]).shape == ()


def test_bits_per_dim_are_those_of_the_dequantized_pixels(pixels):
    params, key = params_of(FLOW), jax.random.key(6)
    log_prob = FLOW.log_prob(params, FLOW.dequantize(key, pixels))
    np.testing.assert_allclose(FLOW.bits_per_dim(params, key, pixels), -log_prob / (16 * np.log(2)), rtol=1e-5)


def test_more_samples_tighten_the_bound(pixels):
    params = params_of(FLOW)
    keys = jax.random.split(jax.random.key(5), 8)
    one = np.mean([FLOW.bits_per_dim(params, k, pixels) for k in keys])
    many = np.mean([FLOW.bits_per_dim(params, k, pixels, num_samples=16) for k in keys])
    assert many < one


def test_context_changes_the_density_and_broadcasts():
    params = params_of(CONDITIONAL)
    x = jnp.full((2, 2, 1), 1.5)
    contexts = jax.random.normal(jax.random.key(0), (4, 3))
    log_prob = CONDITIONAL.log_prob(params, x, contexts)
    chex.assert_shape(log_prob, (4,))
    assert len(np.unique(log_prob)) == 4
    alone = CONDITIONAL.log_prob(params, x, contexts[1])
    np.testing.assert_allclose(alone, log_prob[1], rtol=1e-5)
    samples, densities = CONDITIONAL.sample_and_log_prob(params, jax.random.key(1), (5,), context=contexts)
    assert samples.shape == (5, 4, 2, 2, 1)
    np.testing.assert_allclose(CONDITIONAL.log_prob(params, samples, contexts), densities, rtol=1e-3)
    z, log_det = CONDITIONAL.forward(params, x, contexts)
    back, _ = CONDITIONAL.inverse(params, z, contexts)
    assert log_det.shape == (4,)
    np.testing.assert_allclose(back, jnp.broadcast_to(x, back.shape), atol=1e-3)
    bits = CONDITIONAL.bits_per_dim(params, jax.random.key(0), np.ones((4, 2, 2, 1), np.uint8), contexts, num_samples=2)
    assert bits.shape == (4,)
    one = CONDITIONAL.bits_per_dim(params, jax.random.key(0), np.ones((2, 2, 1), np.uint8), contexts)
    assert one.shape == (4,)


def refused(error, message, call):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call()
    assert len(str(raised.value)) <= 400


def test_bad_input_gets_one_sentence(pixels, x):
    params = params_of(FLOW)
    key = jax.random.key(0)
    refused(
        TypeError,
        "got uint8: make pixels continuous with dequantize(key, x), or use bits_per_dim",
        lambda: FLOW.log_prob(params, pixels),
    )
    refused(TypeError, "got int32", lambda: FLOW.forward(params, jnp.zeros((4, 4, 1), jnp.int32)))
    refused(
        ValueError,
        "expected shape (*batch, 4, 4, 1); got (5, 4, 4, 3)",
        lambda: FLOW.log_prob(params, jnp.zeros((5, 4, 4, 3))),
    )
    refused(ValueError, "expected shape (*batch, 4, 4, 1); got (4, 1)", lambda: FLOW.inverse(params, jnp.zeros((4, 1))))
    refused(
        ValueError, "got values from 0 to 17", lambda: FLOW.bits_per_dim(params, key, np.array(pixels).clip(0, 1) * 17)
    )
    refused(TypeError, "expected integer pixels", lambda: FLOW.bits_per_dim(params, key, x))
    refused(
        ValueError, "num_samples of at least 1; got 0", lambda: FLOW.bits_per_dim(params, key, pixels, num_samples=0)
    )
    refused(ValueError, "temperature of at least 0; got -1", lambda: FLOW.sample(params, key, (2,), temperature=-1.0))
    refused(
        ValueError,
        "Uniform() has no standard deviation to scale",
        lambda: UNIFORM.sample({"params": {}}, key, (2,), temperature=0.5),
    )
    refused(ValueError, "built without a context size", lambda: FLOW.log_prob(params, x, jnp.zeros(3)))
    refused(
        ValueError, 'expected the dict {"params": ..., "batch_stats": ...}', lambda: FLOW.log_prob(params["params"], x)
    )
    refused(ValueError, "expected parameters of this flow", lambda: image_flow((4, 4, 1), 2, 4, 1).log_prob(params, x))
    refused(TypeError, "got uint8", lambda: FLOW.init(key, pixels))
    conditional = params_of(CONDITIONAL)
    refused(
        ValueError,
        "expected context of shape (*batch, 3); got none",
        lambda: CONDITIONAL.log_prob(conditional, jnp.ones((2, 2, 1))),
    )
    refused(
        ValueError,
        "expected context of shape (*batch, 3); got (2,)",
        lambda: CONDITIONAL.sample(conditional, key, context=jnp.zeros(2)),
    )
    refused(
        ValueError,
        "broadcast against the batch (4,); got (3,)",
        lambda: CONDITIONAL.log_prob(conditional, jnp.ones((4, 2, 2, 1)), jnp.zeros((3, 3))),
    )
    continuous = Flow((2,), Chain())
    refused(ValueError, "no levels", lambda: continuous.bits_per_dim({"params": {}}, key, np.zeros((2, 2), np.uint8)))
    refused(ValueError, "no levels", lambda: continuous.to_uint8(jnp.zeros(2)))


def test_sizes_that_do_not_fit_are_refused():
    refused(
        ValueError,
        "height and width divisible by 4 for num_scales=3; got 30x32",
        lambda: image_flow((30, 32, 3), num_scales=3),
    )
    refused(ValueError, "expected event_shape (height, width, channels); got (32, 32)", lambda: image_flow((32, 32)))
    refused(ValueError, "expected num_blocks of at least 1; got 0", lambda: image_flow(num_blocks=0))
    refused(ValueError, "at least 2 levels; got 1", lambda: image_flow(levels=1))
    refused(ValueError, "alpha in [0, 0.5); got 0.5", lambda: image_flow(alpha=0.5))


def test_importing_is_light():
    import subprocess
    import sys

    heavy = "('orbax', 'tensorflow_datasets', 'matplotlib')"
    code = f"import realnvp_jax, sys; print([m for m in {heavy} if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
    assert "load" in realnvp_jax.__all__
