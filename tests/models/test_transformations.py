"""Every method of every family of flows under every transformation and setting of JAX.

Each transformation has a few cells in the quick suite, which together cover all methods and families. The slow suite
has one method for every second pair of a family and a transformation, and `python -m pytest -m matrix` has all other
cells. Cells that cannot hold are listed in CANNOT with the reason.
"""

import functools
import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import PartitionSpec as P

import realnvp_jax
from tests.helpers import perturb

IMAGE = {"event_shape": (2, 2, 1), "levels": 4}
RESNET = {"base_features": 2, "num_blocks": 1}
PIXELCNN = {**IMAGE, "num_components": 2, "features": 4, "num_blocks": 1}
NUM = 2

FAMILIES = {
    "image": lambda: realnvp_jax.image_flow(**IMAGE, num_scales=1, **RESNET),
    "image, context": lambda: realnvp_jax.image_flow(
        **IMAGE, num_scales=1, **RESNET, context=2, normalization="act_norm", transform="spline"
    ),
    "glow": lambda: realnvp_jax.glow_flow(**IMAGE, num_scales=1, num_steps=1, **RESNET),
    "glow, attention": lambda: realnvp_jax.glow_flow(
        **IMAGE,
        num_scales=1,
        num_steps=2,
        masks="both",
        mixing="conv1x1_plain",
        scale_function="sigmoid",
        conditioner="vit",
        vit_features=4,
        vit_heads=2,
        vit_blocks=1,
    ),
    "vector, affine": lambda: realnvp_jax.vector_flow(2, 2, (4,)),
    "vector, spline, context": lambda: realnvp_jax.vector_flow(
        2, 2, (4,), 2, transform="spline", masks="learned", normalization="act_norm"
    ),
    "autoregressive": lambda: realnvp_jax.autoregressive_flow(2, 2, (4,)),
    "autoregressive, separate, context": lambda: realnvp_jax.autoregressive_flow(
        2, 2, (4,), 2, conditioner="separate", base="normal", order=(1, 0)
    ),
    "MAF": lambda: realnvp_jax.masked_autoregressive_flow(2, 2, (4,)),
    "MAF, spline, context": lambda: realnvp_jax.masked_autoregressive_flow(
        2, 2, (4,), 2, transform="spline", normalization="act_norm"
    ),
    "IAF": lambda: realnvp_jax.masked_autoregressive_flow(2, 2, (4,), inverse=True),
    "PixelCNN": lambda: realnvp_jax.pixelcnn_flow(**PIXELCNN),
    "PixelCNN, context": lambda: realnvp_jax.pixelcnn_flow(**PIXELCNN, context=2, base="normal"),
}

# Method -> (call(flow, params, key, x, context), the input that is batched)
METHODS = {
    "log_prob": (lambda flow, params, key, x, context: flow.log_prob(params, x, context), "x"),
    "forward": (lambda flow, params, key, x, context: flow.forward(params, x, context), "x"),
    "inverse": (lambda flow, params, key, x, context: flow.inverse(params, x, context), "z"),
    "sample": (lambda flow, params, key, x, context: flow.sample(params, key, (), context=context), "x"),
    "sample_and_log_prob": (
        lambda flow, params, key, x, context: flow.sample_and_log_prob(params, key, (), context=context),
        "x",
    ),
    "bits_per_dim": (lambda flow, params, key, x, context: flow.bits_per_dim(params, key, x, context), "pixels"),
}
SAMPLES = ("sample", "sample_and_log_prob")

CONTINUOUS = "a flow without levels has no bits per dimension"
NO_KEY = "the method takes no key"
CANNOT = {
    **{
        (name, "bits_per_dim", None): CONTINUOUS
        for name in FAMILIES
        if not name.startswith(("image", "glow", "PixelCNN"))
    },
    **{(None, method, "legacy keys"): NO_KEY for method in ("log_prob", "forward", "inverse")},
    (None, "bits_per_dim", "grad of the input"): "pixels are integers, which have no gradients",
    **{(None, method, "grad of the input"): "samples have no input" for method in SAMPLES},
}


@functools.cache
def problem(family):
    """(flow, perturbed parameters, {"x", "z", "pixels"}, context), all on the device."""
    flow = FAMILIES[family]()
    random = np.random.default_rng(0)
    pixels = jnp.asarray(random.integers(0, 4, (NUM, *flow.event_shape)), jnp.uint8)
    inside = random.uniform(0.2, 0.8, (NUM, *flow.event_shape))
    x = jnp.asarray(4 * inside if flow.levels else inside, jnp.float32)
    context = jnp.asarray(random.standard_normal((NUM, 2)), jnp.float32) if flow.context_size else None
    params = perturb(flow.init(jax.random.key(0)), jax.random.key(1), 0.1)
    return flow, params, {"x": x, "z": jnp.asarray(inside, jnp.float32), "pixels": pixels}, context


def caller(flow, method):
    """The method as a function of (params, key, batched input, context), whose result has a leading axis."""
    if method not in SAMPLES:
        return functools.partial(METHODS[method][0], flow)

    def samples(params, key, x, context):
        shape = () if flow.context_size else (x.shape[0],)
        return getattr(flow, method)(params, key, shape, context=context)

    return samples


def under(setting, call, arguments):
    with setting:
        result = call(*arguments)
    chex.assert_tree_all_finite(result)
    chex.assert_trees_all_close(result, call(*arguments), rtol=1e-4, atol=1e-5)


def by_jit(flow, method, call, arguments):
    chex.assert_trees_all_close(jax.jit(call)(*arguments), call(*arguments), rtol=1e-4, atol=1e-5)


def by_vmap(flow, method, call, arguments):
    """Over examples, keys and contexts at once: the same as one after the other."""
    params, key, x, context = arguments
    one = functools.partial(METHODS[method][0], flow, params)
    rows = (jax.random.split(key, NUM), x, context)
    mapped = jax.vmap(one, in_axes=(0, 0, None if context is None else 0))(*rows)
    alone = [one(rows[0][i], x[i], None if context is None else context[i]) for i in range(NUM)]
    chex.assert_trees_all_close(mapped, jax.tree.map(lambda *values: jnp.stack(values), *alone), rtol=1e-4, atol=1e-5)


def total(tree):
    return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(tree))


def by_grad(flow, method, call, arguments):
    params, *others = arguments
    gradient = jax.grad(lambda params: total(call(params, *others)))(params)
    chex.assert_trees_all_equal_structs(gradient, params)
    chex.assert_tree_all_finite(gradient)
    assert any(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(gradient))


def by_grad_of_the_input(flow, method, call, arguments):
    params, key, x, context = arguments
    gradient = jax.grad(lambda x: total(call(params, key, x, context)))(x)
    chex.assert_tree_all_finite(gradient)
    assert (np.abs(gradient).reshape(NUM, -1).max(axis=1) > 1e-6).all()


def by_export(flow, method, call, arguments):
    """With a symbolic batch, through bytes, and called with another size."""
    params, key, x, context = arguments
    (b,) = export.symbolic_shape("b")

    def symbolic(leaf):
        return jax.ShapeDtypeStruct((b, *leaf.shape[1:]), leaf.dtype)

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), (params, jax.random.key_data(key)))
    exported = export.export(jax.jit(lambda params, words, x, context: call(params, words, x, context)))(
        *shapes, symbolic(x), jax.tree.map(symbolic, context)
    )
    reloaded = export.deserialize(exported.serialize())
    x, context = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf[:1]]), (x, context))
    result = reloaded.call(params, jax.random.key_data(key), x, context)
    chex.assert_trees_all_close(result, call(params, key, x, context), rtol=1e-4, atol=1e-5)


def by_shard_map(flow, method, call, arguments):
    """With its default checks of what varies over the devices."""
    *_, context = arguments
    devices, split = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("devices",)), P("devices")
    specs = (P(), P(), split, None if context is None else split)
    mapped = jax.jit(jax.shard_map(call, mesh=devices, in_specs=specs, out_specs=split))
    chex.assert_trees_all_close(mapped(*arguments), call(*arguments), rtol=1e-4, atol=1e-5)


def by_transfer_guard(flow, method, call, arguments):
    under(jax.transfer_guard("disallow"), call, arguments)


def by_debug_nans(flow, method, call, arguments):
    under(jax.debug_nans(True), call, arguments)


def by_strict_promotion(flow, method, call, arguments):
    under(jax.numpy_dtype_promotion("strict"), call, arguments)


def by_rank_promotion(flow, method, call, arguments):
    under(jax.numpy_rank_promotion("raise"), call, arguments)


def by_x64(flow, method, call, arguments):
    params, key, x, context = arguments
    single = call(*arguments)
    with jax.enable_x64(True):
        widened = jax.tree.map(
            lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, (params, x, context)
        )
        double = call(widened[0], key, *widened[1:])
        assert {leaf.dtype for leaf in jax.tree.leaves(double)} == {jnp.dtype("float64")}
        if method in ("log_prob", "forward", "inverse"):  # noise of another type is another noise
            chex.assert_trees_all_close(jax.tree.map(np.float32, double), single, rtol=1e-3, atol=1e-3)
        chex.assert_tree_all_finite(double)


def by_legacy_keys(flow, method, call, arguments):
    params, _, x, context = arguments
    legacy = call(params, jax.random.PRNGKey(5), x, context)
    chex.assert_trees_all_equal(legacy, call(params, jax.random.key(5), x, context))


def by_no_examples(flow, method, call, arguments):
    params, key, x, context = arguments
    none = call(params, key, x[:0], None if context is None else context[:0])
    one = call(params, key, x[:1], None if context is None else context[:1])
    chex.assert_trees_all_equal_shapes(none, jax.tree.map(lambda leaf: leaf[:0], one))


TRANSFORMATIONS = {
    "jit": by_jit,
    "vmap": by_vmap,
    "grad": by_grad,
    "grad of the input": by_grad_of_the_input,
    "export": by_export,
    "shard_map": by_shard_map,
    "transfer guard": by_transfer_guard,
    "debug NaNs": by_debug_nans,
    "strict promotion": by_strict_promotion,
    "rank promotion": by_rank_promotion,
    "x64": by_x64,
    "legacy keys": by_legacy_keys,
    "no examples": by_no_examples,
}


def reason(family, method, transformation):
    """Why a cell cannot hold; None if it can."""
    keys = [(family, method, None), (None, method, transformation), (family, method, transformation)]
    return next((CANNOT[key] for key in keys if key in CANNOT), None)


def cells():
    """All cells that can hold, with their marks."""
    families, methods = list(FAMILIES), list(METHODS)
    for i, transformation in enumerate(TRANSFORMATIONS):
        quick = [(families[(5 * i + j) % len(families)], methods[(i + j) % len(methods)]) for j in (0, 4)]
        for j, family in enumerate(families):
            possible = [method for method in methods if reason(family, method, transformation) is None]
            for method in possible:
                is_chosen = (i + j) % 2 == 0 and method == possible[(i + j) // 2 % len(possible)]
                mark = pytest.mark.slow if is_chosen else pytest.mark.matrix
                yield pytest.param(family, method, transformation, marks=[] if (family, method) in quick else [mark])


_cells_run = itertools.count(1)


@pytest.fixture(autouse=True)
def _compiled_programs_of_some_cells():
    """The programs of all cells together need more mappings of memory than Linux allows."""
    yield
    if next(_cells_run) % 50 == 0:
        jax.clear_caches()


@pytest.mark.parametrize(("family", "method", "transformation"), list(cells()))
def test_every_method_keeps_its_word(family, method, transformation, request):
    if transformation == "export":
        request.getfixturevalue("without_type_checks")  # which expect sizes to be ints
    flow, params, inputs, context = problem(family)
    arguments = params, jax.random.key(3), inputs[METHODS[method][1]], context
    TRANSFORMATIONS[transformation](flow, method, caller(flow, method), arguments)


def test_the_table_of_cells_that_cannot_hold_is_right():
    vector = problem("vector, affine")
    with pytest.raises(ValueError, match="no levels"):
        caller(vector[0], "bits_per_dim")(vector[1], jax.random.key(0), vector[2]["pixels"], None)
    assert {key[1] for key in CANNOT} <= set(METHODS)
    assert {key[2] for key in CANNOT} - {None} <= set(TRANSFORMATIONS)


def test_the_other_methods_make_explicit_transfers_only(without_type_checks):
    flow, params, inputs, _ = problem("image")
    conditional, of_conditional, rows, context = problem("vector, spline, context")
    pixels = np.asarray(inputs["pixels"])
    key = jax.random.key(0)
    legacy = np.array([0, 1], np.uint32)
    with jax.transfer_guard("disallow"):
        flow.init(key, np.asarray(inputs["x"], np.float64))
        flow.dequantize(legacy, pixels)
        realnvp_jax.dequantize(key, pixels, levels=4)
        flow.to_uint8(inputs["x"])
        flow.bits_per_dim_train(params, key, pixels)
        flow.log_prob_train(params, inputs["x"])
        flow.sample_and_log_prob(params, key, (2,), temperature=0.5, check=True)
        conditional.init(key, rows["x"])
        conditional.log_prob(of_conditional, np.asarray(rows["x"]), np.asarray(context))
