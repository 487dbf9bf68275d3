"""The computations of a flow: initialization from data, and training passes in all memory modes and precisions."""

import functools

import chex
import flax.linen as nn
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import realnvp_jax
from realnvp_jax import image_flow, vector_flow
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.masks import Checkerboard, ImageHalves
from realnvp_jax.models.pure import init_from_data
from realnvp_jax.networks.statistics import ActNorm
from realnvp_jax.training.optimizer import global_norm
from tests.helpers import perturb, refusal, small
from tests.models.helpers import points

KEY = jax.random.key(0)


def assert_standardized(values, name=""):
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(values.var(0), 1, atol=1e-9, err_msg=name)


def after_act_norms(flow, params, y) -> dict[str, np.ndarray]:
    """Name -> what leaves the ActNorms of that name, [layers, *y's shape or the half's]."""

    def note(call, arguments, options, method):
        result = call(*arguments, **options)
        is_act_norm = isinstance(method.module, Normalize) and isinstance(method.module.statistics, ActNorm)
        if is_act_norm and method.method_name == "normalize":
            method.module.sow("intermediates", "normalized", result[0])
        return result

    with nn.intercept_methods(note):
        _, recorded = flow.bijection.apply(params, y, method="forward", mutable=["intermediates"])
    leaves = jax.tree_util.tree_leaves_with_path(recorded["intermediates"])
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def test_after_initialization_every_act_norm_of_a_vector_flow_gives_mean_0_and_variance_1(x64):
    flow = vector_flow(3, num_layers=5, hidden=(8,), normalization="act_norm", transform="spline")
    x = points(3).astype(np.float64)
    params = init_from_data(flow, perturb(flow.init(KEY), KEY), jnp.asarray(x), None)  # couplings start as identities
    outputs = after_act_norms(flow, params, jnp.asarray(x))
    assert len(outputs) == 3  # two, scanned over two pairs, and the last
    for name, z in outputs.items():
        for one in z.reshape((-1, *z.shape[-2:])):
            assert_standardized(one, name)


@pytest.mark.parametrize("masks", ["checkerboard", "halves"])
def test_after_initialization_every_act_norm_of_an_image_flow_gives_mean_0_and_variance_1(masks, x64):
    flow = image_flow((4, 3, 1), 1, 2, 1, normalization="act_norm", transform="additive", masks=masks)
    x = flow.dequantize(KEY, np.random.default_rng(0).integers(0, 256, (16, *flow.event_shape)))
    params = flow.init(jax.random.key(1), x)
    assert not params["batch_stats"]
    y, _ = flow.preprocessing.forward(x)
    ((name, outputs),) = after_act_norms(flow, params, y).items()
    assert len(outputs) == 4
    mask = Checkerboard(0) if masks == "checkerboard" else ImageHalves(0)
    for layer, z in enumerate(outputs):
        cells = mask.with_parity(layer % mask.num_parities).cells(z.shape)
        assert_standardized(z[~np.broadcast_to(cells, z.shape)][:, None], name)
    # all of the model is a function of the example alone
    np.testing.assert_allclose(flow.log_prob(params, x), flow.log_prob_train(params, x)[0], atol=1e-9)


def test_initialization_standardises_and_leaves_the_rest_alone(x64):
    x = points(3).astype(np.float64)
    flow = vector_flow(3, num_layers=2, hidden=(4,), context=2, normalization="batch_norm")
    context = 5 + 2 * np.random.default_rng(1).standard_normal((200, 2))
    fresh, params = flow.init(KEY), flow.init(KEY, x, context)
    chex.assert_trees_all_equal_structs(fresh, params)
    for collection in ("params", "batch_stats"):
        chex.assert_trees_all_equal(fresh[collection], params[collection])
    constants = params["standardization"]
    np.testing.assert_allclose(constants["standardize"]["statistics"]["mean"], x.mean(0))
    np.testing.assert_allclose(jnp.exp(constants["standardize"]["statistics"]["log_std"]), x.std(0))
    np.testing.assert_allclose(constants["standardize_context"]["statistics"]["mean"], context.mean(0))
    z, log_det = flow.forward(params, x, context)
    assert_standardized(np.asarray(z) * np.sqrt(1 + 1e-4))  # batch norm's epsilon, at its initial variance 1
    np.testing.assert_allclose(log_det, -np.log(x.std(0)).sum() - 0.5 * 3 * np.log(1 + 1e-4))
    unused = flow.init(KEY, x)["standardization"]["standardize_context"]["statistics"]
    np.testing.assert_array_equal(unused["mean"], 0)
    np.testing.assert_array_equal(unused["log_std"], 0)


def test_the_density_is_in_the_datas_own_units(x64):
    """A Gaussian flow: standardization and nothing else."""
    x = points(2).astype(np.float64)
    flow = vector_flow(2, num_layers=1, hidden=(4,))
    log_prob = flow.log_prob(flow.init(KEY, x), x)
    z = (x - x.mean(0)) / x.std(0)
    expected = -0.5 * (z**2).sum(1) - np.log(2 * np.pi) - np.log(x.std(0)).sum()
    np.testing.assert_allclose(log_prob, expected, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_the_density_follows_a_change_of_units(unit):
    x = points(3)
    flow = vector_flow(3, num_layers=3, hidden=(8,), masks="learned", normalization="act_norm", context=1)
    context = x[:, :1]
    log_prob = flow.log_prob(flow.init(KEY, x, context), x, context)
    scaled, scaled_context = x * np.float32(unit), context * np.float32(unit)
    log_prob_scaled = flow.log_prob(flow.init(KEY, scaled, scaled_context), scaled, scaled_context)
    np.testing.assert_allclose(log_prob_scaled + 3 * np.log(unit), log_prob, atol=1e-3)


@pytest.mark.parametrize("transform", ["affine", "spline"])
def test_single_precision_data_in_double_precision_mode(transform, x64):
    x = points(3)
    flow = vector_flow(3, num_layers=4, hidden=(8,), transform=transform, context=1)
    params = flow.init(KEY, x, x[:, :1])
    log_prob = flow.log_prob(params, x, x[:, :1])
    assert log_prob.dtype == jnp.float64
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    np.testing.assert_allclose(flow.log_prob(single, x, x[:, :1]), log_prob, rtol=1e-4)
    z, _ = flow.forward(params, x, x[:, :1])
    back, _ = flow.inverse(params, np.asarray(z, np.float32), x[:, :1])
    np.testing.assert_allclose(back, x, rtol=1e-3, atol=1e-3)


def test_what_was_initialized_from_data_stays_after_loading(tmp_path):
    from realnvp_jax.runs.best import Best
    from realnvp_jax.runs.checkpoints import Checkpoints
    from realnvp_jax.training.optimizer import Adam, clipped
    from realnvp_jax.training.state import create_state

    x = points(3)
    flow = vector_flow(3, num_layers=2, hidden=(4,), normalization="act_norm")
    state = create_state(flow, KEY, clipped(Adam(), 1e-3), 0.0, jnp.asarray(x))
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state, Best())
    checkpoints.wait()
    restored = checkpoints.restore(create_state(flow, jax.random.key(5), clipped(Adam(), 1e-3)))
    checkpoints.close()
    assert restored is not None
    chex.assert_trees_all_equal(restored[0].params, state.params)
    _, after = flow.log_prob_train(restored[0].params, 7 * x[:50] + 3)
    chex.assert_trees_all_equal(after, state.params)


SMALL = {"event_shape": (2, 2, 1), "num_scales": 1, "base_features": 2, "num_blocks": 2, "levels": 4}


VARIANTS = {
    "two scales, lag": {"num_scales": 2, "batch_norm_lag": 0.5},
    "act norm, additive, halves, context": {
        "normalization": "act_norm",
        "transform": "additive",
        "masks": "halves",
        "context": 2,
    },
}


def problem(**choices):
    """(flow, perturbed parameters, x, context) of a small flow, in the current precision."""
    flow = realnvp_jax.image_flow(**{**SMALL, **choices})
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.2)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.uniform(0.5, 3.5, (6, 2, 2, 1)), jnp.result_type(float))
    context = jnp.asarray(random.standard_normal((6, 2)), x.dtype) if flow.context_size else None
    return flow, params, x, context


@functools.partial(jax.jit, static_argnums=0)
def gradients(flow, params, x, context):
    """(mean log_prob, updated variables, gradients in the parameters, x and the context) in training mode."""

    def loss(trainable, x, context):
        log_prob, updated = flow.log_prob_train({**params, "params": trainable}, x, context)
        return log_prob.mean(), updated

    arguments = (0, 1) if context is None else (0, 1, 2)
    (value, updated), gradient = jax.value_and_grad(loss, arguments, has_aux=True)(params["params"], x, context)
    return value, updated, gradient


def relative_error(tree, expected) -> float:
    return float(global_norm(jax.tree.map(jnp.subtract, tree, expected)) / global_norm(expected))


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_all_modes_have_the_same_gradients(name, x64):
    flow, params, x, context = problem(**VARIANTS[name])
    value, updated, gradient = gradients(flow, params, x, context)
    assert float(global_norm(gradient)) > 1e-3
    choices = [{"memory": "remat"}, {"memory": "invert", "unroll": True}]
    for choice in [{"memory": "invert"}] if flow.bijection.num_scales > 1 else choices:
        other, *_ = problem(**VARIANTS[name], **choice)
        assert other != flow
        other_value, other_updated, other_gradient = gradients(other, params, x, context)
        np.testing.assert_allclose(other_value, value, rtol=1e-12)
        chex.assert_trees_all_close(other_updated, updated, rtol=1e-12)
        assert relative_error(other_gradient, gradient) < 1e-9


@pytest.mark.parametrize("memory", ["store", "invert"])
def test_gradients_are_those_of_finite_differences(memory, x64):
    flow, params, x, _ = problem(memory=memory)
    check_grads(
        jax.jit(lambda trainable, x: flow.log_prob_train({**params, "params": trainable}, x)[0].sum()),
        (params["params"], x),
        order=1,
        modes=["rev"],
        rtol=1e-5,
    )


def test_single_precision():
    flow, params, x, _ = problem()
    _, _, gradient = gradients(flow, params, x, None)
    for memory, tolerance in (("remat", 1e-5), ("invert", 1e-3)):
        assert relative_error(gradients(problem(memory=memory)[0], params, x, None)[2], gradient) < tolerance


def test_only_training_is_in_bfloat16():
    flow, params, x, _ = problem()
    narrow, *_ = problem(dtype="bfloat16", memory="invert")
    value, _, gradient = gradients(flow, params, x, None)
    narrow_value, narrow_updated, narrow_gradient = gradients(narrow, params, x, None)
    assert {leaf.dtype for leaf in jax.tree.leaves((narrow_value, narrow_updated, narrow_gradient))} == {
        jnp.dtype("float32")
    }
    assert 0 < abs(float(narrow_value - value)) < 0.05 * abs(float(value))
    assert 1e-5 < relative_error(narrow_gradient, gradient) < 0.5
    np.testing.assert_array_equal(narrow.log_prob(params, x), flow.log_prob(params, x))


def precisions(jaxpr) -> set:
    """The precisions of all convolutions and matrix products."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            found.add(equation.params["precision"])
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            found |= precisions(inner)
    return found


def test_everything_but_training_has_full_precision_on_every_device():
    flow = small("glow_flow", levels=17, dequantizer="variational", noise_features=2)
    params = flow.init(jax.random.key(0))
    x = np.ones((2, *flow.event_shape), np.uint8)
    y = x + np.float32(0.5)
    key = jax.random.key(1)

    def loss(params, y):
        return flow.log_prob(params, y).sum()

    passes = {
        "log_prob": (flow.log_prob, params, y),
        "gradients": (jax.value_and_grad(loss, argnums=(0, 1)), params, y),
        "inverse": (flow.inverse, params, y),
        "sample": (lambda params, key: flow.sample(params, key, (2,)), params, key),
        "init": (flow.init, key, y),
        "bound": (flow.bits_per_dim, params, key, jnp.asarray(x)),
    }
    highest = jax.lax.Precision.HIGHEST
    for name, (function, *arguments) in passes.items():
        assert precisions(jax.make_jaxpr(function)(*arguments).jaxpr) == {(highest, highest)}, name
    trained = precisions(jax.make_jaxpr(flow.bits_per_dim_train)(params, key, jnp.asarray(x)).jaxpr)
    assert None in trained  # in training, the device's default


def test_a_scale_of_one_cell_is_initialized():
    flow = image_flow((2, 2, 1), 2, 2, 1, 16, normalization="act_norm")
    x = np.random.default_rng(0).uniform(0, 16, (20, 2, 2, 1)).astype(np.float32)
    chex.assert_tree_all_finite(flow.init(jax.random.key(0), x))


def test_parameters_in_half_precision_are_those_numbers_in_single_precision():
    flow = realnvp_jax.glow_flow((4, 4, 1), 2, 2, 4, 1, 16)
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.2)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half)
    x = np.random.default_rng(0).uniform(0, 16, (5, 4, 4, 1)).astype(np.float32)
    chex.assert_trees_all_equal(flow.forward(half, x), flow.forward(single, x))
    np.testing.assert_allclose(flow.inverse(half, flow.forward(half, x)[0])[0], x, atol=1e-3)


def test_permutations_that_half_precision_cannot_hold_are_refused():
    flow = realnvp_jax.vector_flow(300, num_layers=2, hidden=(2,), mixing="permutation")
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), flow.init(jax.random.key(0)))
    message = refusal(flow.log_prob, half, np.zeros((1, 300), np.float32))
    assert message.startswith("expected the places of a permutation in float32; got 300 of them in bfloat16")
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), half)
    assert np.isfinite(flow.log_prob(half, np.zeros((1, 300), np.float32)))


def test_data_that_parameters_cannot_be_initialized_from_are_refused():
    rng = np.random.default_rng(0)
    stamps = np.stack([1.7e9 + rng.uniform(0, 2000, 300), rng.standard_normal(300)], 1)
    with pytest.raises(ValueError, match="expected values that float32 can tell apart; got column 0"):
        vector_flow(2, num_layers=2, hidden=(4,)).init(jax.random.key(0), stamps)
    pixels = rng.uniform(0, 255, (10, 4, 4, 1)).astype(np.float32)
    with pytest.raises(ValueError, match=r"expected x in the support of .*levels=16.*got .* to .*: rescale x"):
        image_flow((4, 4, 1), 1, 2, 1, 16).init(jax.random.key(0), pixels)


def test_initialization_from_a_constant_of_a_traced_function():
    flow = vector_flow(2, num_layers=2, hidden=(4,))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((50, 2)), jnp.float32)
    found = jax.jit(lambda key: flow.init(key, x))(jax.random.key(0))
    chex.assert_trees_all_close(found, flow.init(jax.random.key(0), x), rtol=1e-5, atol=1e-6)


def test_one_temperature_and_no_examples(without_type_checks):
    flow = vector_flow(2, num_layers=2, hidden=(4,))
    params = flow.init(jax.random.key(0))
    sample = jax.jit(lambda temperature: flow.sample(params, jax.random.key(1), (3,), temperature=temperature))
    with pytest.raises(TypeError, match="expected a temperature that is one number"):
        sample(jnp.array([1.0, 5.0]))
    expected = sample(jnp.float32(0.5))
    found = flow.sample(params, jax.random.key(1), (3,), temperature=jnp.bfloat16(0.5))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert flow.log_prob_train(params, np.zeros((0, 2), np.float32))[0].shape == (0,)
