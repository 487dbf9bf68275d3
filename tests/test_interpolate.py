"""Paths, grids and manifolds between latents; latents drawn anew scale by scale."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from realnvp_jax import (
    Chain,
    Flow,
    Normal,
    Rescale,
    Uniform,
    autoregressive_flow,
    image_flow,
    pixelcnn_flow,
    vector_flow,
)
from realnvp_jax.analysis import latents
from realnvp_jax.analysis.latent_paths import interpolate, manifold
from realnvp_jax.analysis.latent_scales import latent_scales, resample_scales
from realnvp_jax.analysis.latents import to_latents
from realnvp_jax.squeeze import squeeze_diagonal
from tests.helpers import perturb

IMAGES = image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1, levels=17)
THREE_SCALES = image_flow((8, 4, 2), num_scales=3, base_features=2, num_blocks=1, levels=4)
CONDITIONAL = image_flow((2, 2, 1), num_scales=1, base_features=2, num_blocks=1, levels=4, context=3)
PIXELCNN = pixelcnn_flow((2, 2, 1), levels=4, num_components=2, features=4, num_blocks=1)
VECTORS = vector_flow(2, num_layers=2, hidden=(8,))
AUTOREGRESSIVE = autoregressive_flow(2, num_components=2, hidden=(8,))
IDENTITY = Flow((3,), Chain())  # whose latents are its data
UNIT_SQUARE = Flow((2,), Chain(), base=Uniform())
NOTHING = {"params": {}, "batch_stats": {}}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Four at a time, so that there are several batches, and few shapes to compile for."""
    monkeypatch.setattr(latents, "_BATCH_SIZE", 4)


@functools.cache
def params_of(flow: Flow):
    if flow.levels is None:
        return perturb(flow.init(jax.random.key(0)), jax.random.key(1), size=0.1)
    shapes = jax.eval_shape(flow.init, jax.random.key(0))  # not compiled
    constant = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.full(leaf.shape, float("variance" in jax.tree_util.keystr(path)), leaf.dtype), shapes
    )
    return perturb(constant, jax.random.key(1), size=0.1)


def pixels_of(flow: Flow, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, flow.levels, (n, *flow.event_shape)).astype(np.uint8)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
@pytest.mark.parametrize("flow", [IMAGES, PIXELCNN], ids=["RealNVP", "PixelCNN"])
def test_corners_are_the_given_images(flow, kind):
    params, pixels = params_of(flow), pixels_of(flow, 4)
    latents = to_latents(flow, params, pixels)
    assert latents.shape == pixels.shape
    path = interpolate(flow, params, latents[:2], 8, kind=kind)
    assert path.shape == (8, *flow.event_shape)
    np.testing.assert_array_equal(flow.to_uint8(path[[0, -1]]), pixels[:2])
    np.testing.assert_allclose(path[[0, -1]], pixels[:2] + 0.5, atol=0.01)
    grid = interpolate(flow, params, latents, 4, kind=kind)
    assert grid.shape == (4, 4, *flow.event_shape)
    np.testing.assert_array_equal(flow.to_uint8(grid[::3, ::3].reshape(pixels.shape)), pixels)
    circles = manifold(flow, params, latents, 4)
    assert circles.shape == grid.shape
    np.testing.assert_array_equal(flow.to_uint8(circles[0, 0]), pixels[0])


@pytest.mark.parametrize("flow", [VECTORS, AUTOREGRESSIVE], ids=["RealNVP", "autoregressive"])
def test_vectors(flow):
    params, x = params_of(flow), np.array([[0.3, -0.7], [1.1, 0.4], [-0.9, 0.2], [0.0, -0.1]], np.float32)
    latents = to_latents(flow, params, x)
    np.testing.assert_array_equal(latents, flow.forward(params, x)[0])
    for kind in ("linear", "spherical"):
        grid = interpolate(flow, params, latents, 4, kind=kind)
        assert grid.shape == (4, 4, 2)
        np.testing.assert_allclose(grid[::3, ::3].reshape(4, 2), x, atol=1e-3)
    circles = manifold(flow, params, latents, 4)
    assert np.isfinite(circles).all()
    np.testing.assert_allclose(circles[0, 0], x[0], atol=1e-3)


def test_the_middles_of_lines_are_mean_latents():
    params = params_of(IMAGES)
    latents = to_latents(IMAGES, params, pixels_of(IMAGES, 4))
    path = interpolate(IMAGES, params, latents[:2], 4)
    between = [(1 - t) * latents[0] + t * latents[1] for t in (0, 1 / 3, 2 / 3, 1)]
    np.testing.assert_allclose(path, IMAGES.inverse(params, np.stack(between))[0], atol=1e-3)
    params, latents = params_of(VECTORS), normal(4, 2)
    middle = interpolate(VECTORS, params, latents[:2], 3)[1]
    np.testing.assert_allclose(middle, VECTORS.inverse(params, latents[:2].mean(axis=0))[0], atol=1e-5)
    centre = interpolate(VECTORS, params, latents, 3)[1, 1]
    np.testing.assert_allclose(centre, VECTORS.inverse(params, latents.mean(axis=0))[0], atol=1e-5)


def test_linear_grids_are_bilinear():
    corners = normal(4, 3)
    t = np.linspace(0, 1, 5)
    grid = interpolate(IDENTITY, NOTHING, corners, 5)
    for edge, (a, b) in ((grid[0], (0, 1)), (grid[-1], (2, 3)), (grid[:, 0], (0, 2)), (grid[:, -1], (1, 3))):
        np.testing.assert_allclose(edge, (1 - t)[:, None] * corners[a] + t[:, None] * corners[b], atol=1e-6)
        np.testing.assert_allclose(edge, interpolate(IDENTITY, NOTHING, corners[[a, b]], 5), atol=1e-6)
    np.testing.assert_allclose(grid[2, 2], corners.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("kind", ["linear", "spherical"])
def test_corners_are_the_given_latents_bit_for_bit(kind):
    for flow, corners in (
        (IDENTITY, normal(4, 3)),
        (UNIT_SQUARE, np.array([[0, 1], [1e-30, 0.3], [1, 1], [0.1, 0.9]])),
    ):
        given = np.asarray(corners, np.float32)
        grid = interpolate(flow, NOTHING, given, 4, kind=kind)
        np.testing.assert_array_equal(grid[[0, 0, -1, -1], [0, -1, 0, -1]], given)
        np.testing.assert_array_equal(interpolate(flow, NOTHING, given[:2], 4, kind=kind)[[0, -1]], given[:2])
        assert np.isfinite(grid).all()
        np.testing.assert_array_equal(manifold(flow, NOTHING, given, 4)[0, 0], given[0])


def test_great_circles_keep_the_norm_and_the_pace():
    corners = normal(2, 3)
    corners *= 2 / np.linalg.norm(corners, axis=1, keepdims=True)
    path = interpolate(IDENTITY, NOTHING, corners, 7, kind="spherical")
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 2, rtol=1e-6)
    steps = np.arccos((path[1:] * path[:-1]).sum(axis=1) / 4)
    np.testing.assert_allclose(steps, np.arccos(corners[0] @ corners[1] / 4) / 6, rtol=1e-3)
    unequal = interpolate(IDENTITY, NOTHING, corners * np.array([[1], [3]], np.float32), 5, kind="spherical")
    np.testing.assert_allclose(np.linalg.norm(unequal, axis=1), [2, 3, 4, 5, 6], rtol=1e-6)
    quarter = interpolate(IDENTITY, NOTHING, np.eye(3, dtype=np.float32)[:2], 3, kind="spherical")[1]
    np.testing.assert_allclose(quarter, [np.sqrt(0.5), np.sqrt(0.5), 0], rtol=1e-6)


def test_great_circles_of_a_grid_go_along_both_axes():
    corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], np.float32)
    grid = interpolate(IDENTITY, NOTHING, corners, 5, kind="spherical")
    np.testing.assert_allclose(np.linalg.norm(grid, axis=-1), 1, rtol=1e-6)
    for edge, ends in ((grid[0], [0, 1]), (grid[:, 0], [0, 2]), (grid[:, -1], [1, 3])):
        along = interpolate(IDENTITY, NOTHING, corners[ends], 5, kind="spherical")
        np.testing.assert_allclose(edge, along, atol=1e-6)
    np.testing.assert_allclose(grid[2, 2], np.array([1, 1, 2]) / np.sqrt(6), rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, -0.5, 0.0])
def test_between_parallel_latents_there_is_a_line(factor):
    corners = normal(1, 3) * np.array([[1], [factor]], np.float32)
    path = interpolate(IDENTITY, NOTHING, corners, 5, kind="spherical")
    np.testing.assert_allclose(path, interpolate(IDENTITY, NOTHING, corners, 5), atol=1e-6)


def test_great_circles_and_manifolds_of_uniform_latents_are_those_of_normal_ones():
    plane = Flow((2,), Chain())
    uniform = np.array([[0.2, 0.7], [0.95, 0.5], [0.4, 0.01], [0.6, 0.8]], np.float32)
    path = interpolate(UNIT_SQUARE, NOTHING, uniform[:2], 5, kind="spherical")
    latents = ndtri(uniform).astype(np.float32)
    np.testing.assert_allclose(path, ndtr(interpolate(plane, NOTHING, latents[:2], 5, kind="spherical")), atol=1e-5)
    circles = manifold(UNIT_SQUARE, NOTHING, uniform, 6)
    np.testing.assert_allclose(circles, ndtr(manifold(plane, NOTHING, latents, 6)), atol=1e-5)
    line = interpolate(UNIT_SQUARE, NOTHING, uniform[:2], 3)
    np.testing.assert_allclose(line[1], uniform[:2].mean(axis=0), rtol=1e-6)


def test_the_manifold_is_equation_19():
    z1, z2, z3, z4 = corners = normal(4, 3)
    grid = manifold(IDENTITY, NOTHING, corners, 8)  # angles in steps of pi / 4
    assert grid.shape == (8, 8, 3)
    for (row, column), expected in {
        (0, 0): z1,
        (0, 2): z2,
        (0, 4): -z1,
        (2, 0): z3,
        (2, 2): z4,
        (4, 4): z1,
        (6, 2): -z4,
        (1, 1): (z1 + z2 + z3 + z4) / 2,
        (0, 1): (z1 + z2) / np.sqrt(2),
        (1, 0): (z1 + z3) / np.sqrt(2),
        (3, 0): (z3 - z1) / np.sqrt(2),
    }.items():
        np.testing.assert_allclose(grid[row, column], expected, atol=1e-6)


def test_half_of_what_is_left_is_factored_out_at_every_scale():
    scales = latent_scales(IMAGES)
    assert scales.shape == IMAGES.event_shape
    np.testing.assert_array_equal(np.bincount(scales.ravel()), [8, 8])
    np.testing.assert_array_equal(scales[..., 0], np.tile([[1, 0], [0, 1]], (2, 2)))  # the diagonal goes on
    np.testing.assert_array_equal(np.bincount(latent_scales(THREE_SCALES).ravel()), [32, 16, 16])
    one = image_flow((3, 5, 1), num_scales=1, base_features=2, num_blocks=1)
    np.testing.assert_array_equal(latent_scales(one), np.zeros((3, 5, 1)))


def test_scales_are_those_of_the_splits_of_the_inverse():
    rest = jnp.asarray(latent_scales(THREE_SCALES), jnp.float32)
    for scale in range(2):
        rest, factored_out = jnp.split(squeeze_diagonal(rest), 2, axis=-1)
        np.testing.assert_array_equal(factored_out, scale)
    np.testing.assert_array_equal(rest, 2)


def test_parameters_of_the_last_scale_change_its_latents_alone():
    params, pixels = params_of(IMAGES), pixels_of(IMAGES, 4)
    others = {kind: {**tree, "scales_1": perturb(tree["scales_1"], jax.random.key(2))} for kind, tree in params.items()}
    before, after = (to_latents(IMAGES, p, pixels) for p in (params, others))
    np.testing.assert_array_equal((before != after).any(axis=0), latent_scales(IMAGES) == 1)


def test_coarse_latents_are_kept_and_fine_ones_drawn_anew():
    params, pixels = params_of(IMAGES), pixels_of(IMAGES, 4)
    is_coarse, latents = latent_scales(IMAGES) == 1, to_latents(IMAGES, params, pixels)
    values = resample_scales(IMAGES, params, jax.random.key(0), pixels, 3)
    assert values.shape == (4, 2, 3, 4, 4, 1)
    np.testing.assert_array_equal(IMAGES.to_uint8(values[:, 0]), np.stack([pixels] * 3, axis=1))
    flat = values[:, 1].reshape(3, 4, 4, 4, 1)
    again = np.stack([IMAGES.forward(params, four)[0] for four in flat]).reshape(4, 3, 4, 4, 1)
    kept = np.broadcast_to(latents[:, None], again.shape)[..., is_coarse]
    np.testing.assert_allclose(again[..., is_coarse], kept, atol=0.01)
    drawn = again[..., ~is_coarse]
    assert len(np.unique(np.round(drawn, 3))) > 0.9 * drawn.size  # none like another
    assert (np.abs(drawn - latents[:, None][..., ~is_coarse]) > 0.01).mean() > 0.9
    assert abs(drawn.mean()) < 4 / np.sqrt(drawn.size)
    assert abs(drawn.std() - 1) < 4 / np.sqrt(2 * drawn.size)


def test_a_draw_depends_on_the_key_and_its_own_numbers_alone():
    params, pixels, key = params_of(IMAGES), pixels_of(IMAGES, 4), jax.random.key(0)
    values = resample_scales(IMAGES, params, key, pixels, 3)
    fewer = resample_scales(IMAGES, params, key, pixels, 2)
    np.testing.assert_allclose(fewer, values[:, :, :2], atol=1e-3)
    other = resample_scales(IMAGES, params, jax.random.key(1), pixels, 2)
    assert (np.abs(other - fewer)[:, 1].max(axis=(2, 3, 4)) > 0.1).all()


def test_large_grids_are_evaluated_in_batches_of_one_size(monkeypatch):
    sizes = []

    class Watched(Flow):
        def inverse(self, params, z, context=None):
            sizes.append(len(z))
            return super().inverse(params, z, context)

    corners, flow = normal(4, 3), Watched((3,), Chain(), base=Normal())
    monkeypatch.setattr(latents, "_BATCH_SIZE", 256)
    whole = interpolate(flow, NOTHING, corners, 23)
    assert sizes == [177, 177, 177]  # for 529 points
    monkeypatch.setattr(latents, "_BATCH_SIZE", 1000)
    np.testing.assert_array_equal(interpolate(flow, NOTHING, corners, 23), whole)
    assert sizes[3:] == [529]


def test_context_for_all_or_for_each():
    params, pixels = params_of(CONDITIONAL), pixels_of(CONDITIONAL, 4)
    contexts = normal(4, 3)
    each, one = (to_latents(CONDITIONAL, params, pixels, context) for context in (contexts, contexts[1]))
    np.testing.assert_allclose(each[1], one[1], rtol=1e-5, atol=1e-6)
    assert not np.allclose(each[0], one[0], atol=1e-3)
    values = resample_scales(CONDITIONAL, params, jax.random.key(0), pixels, 2, context=contexts)
    np.testing.assert_array_equal(CONDITIONAL.to_uint8(values[:, 0, 1]), pixels)
    grid = interpolate(CONDITIONAL, params, one, 2, context=contexts[1])
    np.testing.assert_array_equal(CONDITIONAL.to_uint8(grid).reshape(pixels.shape), pixels)
    along = interpolate(CONDITIONAL, params, each[:2], 4, context=contexts[[0, 2, 3, 1]])
    np.testing.assert_array_equal(CONDITIONAL.to_uint8(along[[0, -1]]), pixels[:2])
    circles = manifold(CONDITIONAL, params, one, 2, context=contexts[1])
    np.testing.assert_array_equal(CONDITIONAL.to_uint8(circles[0, 0]), pixels[0])


def test_double_precision(x64):
    path = interpolate(UNIT_SQUARE, NOTHING, np.array([[1.0, 0.1], [1.0, 1.0]]), 50)
    assert path.dtype == np.float64
    np.testing.assert_array_equal(path[:, 0], 1)


def refused(error, message, call, *args, **kwargs):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call(*args, **kwargs)
    assert str(raised.value).startswith("expected ")
    assert len(str(raised.value)) <= 400


def test_bad_input_gets_one_sentence():
    corners = normal(4, 3)
    shapes = "expected corners, latents of shape (2, 3) or (4, 3); got"
    for bad in (corners[:3], corners[0], corners[:, :2], corners[None], np.float32(1)):
        refused(ValueError, f"{shapes} {bad.shape}", interpolate, IDENTITY, NOTHING, bad, 3)
    refused(ValueError, "of shape (4, 3); got (2, 3)", manifold, IDENTITY, NOTHING, corners[:2], 3)
    refused(
        ValueError,
        "one of ('linear', 'spherical'); got 'cubic'",
        interpolate,
        IDENTITY,
        NOTHING,
        corners,
        3,
        kind="cubic",
    )
    refused(ValueError, "num of at least 2; got 1", interpolate, IDENTITY, NOTHING, corners, 1)
    refused(ValueError, "num of at least 2; got 1", manifold, IDENTITY, NOTHING, corners, 1)
    refused(
        TypeError,
        "floating dtype, as to_latents returns; got int64",
        interpolate,
        IDENTITY,
        NOTHING,
        np.ones((2, 3), int),
        2,
    )
    refused(ValueError, "expected finite latents", interpolate, IDENTITY, NOTHING, corners * np.float32(np.nan), 3)
    for call in (interpolate, manifold):
        refused(ValueError, "[0, 1], the support of Uniform(); got", call, UNIT_SQUARE, NOTHING, 2 + corners[:, :2], 3)
    refused(ValueError, "expected no context", interpolate, IDENTITY, NOTHING, corners, 3, context=jnp.ones(3))


def test_bad_images_get_one_sentence():
    params, pixels, key = params_of(IMAGES), pixels_of(IMAGES, 2), jax.random.key(0)
    refused(ValueError, "expected shape (n, 4, 4, 1); got (4, 4, 1)", to_latents, IMAGES, params, pixels[0])
    refused(ValueError, "got values from 16 to 17", to_latents, IMAGES, params, pixels.clip(0, 1) + np.uint8(16))
    refused(TypeError, "expected integer pixels", to_latents, IMAGES, params, pixels + 0.5)
    refused(TypeError, "expected floating-point values", to_latents, VECTORS, params_of(VECTORS), np.ones((2, 2), int))
    refused(ValueError, "num of at least 1; got 0", resample_scales, IMAGES, params, key, pixels, 0)
    for flow in (VECTORS, PIXELCNN, Flow((2, 2, 1), Chain(), preprocessing=Rescale(4), levels=4)):
        refused(ValueError, "expected a flow of images with scales; got a", latent_scales, flow)
        refused(ValueError, "expected a flow of images with scales", resample_scales, flow, NOTHING, key, pixels, 2)
    conditional = params_of(CONDITIONAL)
    for context, got in ((None, "got none"), (np.ones(2), "got (2,)"), (np.ones((3, 3)), "(2, 3); got (3, 3)")):
        refused(ValueError, got, to_latents, CONDITIONAL, conditional, pixels_of(CONDITIONAL, 2), context)
