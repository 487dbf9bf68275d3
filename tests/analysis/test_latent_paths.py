"""Paths, grids and manifolds between latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from realnvp_jax import Chain, Flow, Normal, vector_flow
from realnvp_jax.analysis import latents
from realnvp_jax.analysis.latent_paths import interpolate, manifold
from realnvp_jax.analysis.latent_scales import resample_scales
from realnvp_jax.analysis.latents import from_latents, to_latents
from tests.analysis.flows import (
    AUTOREGRESSIVE,
    CONDITIONAL,
    IDENTITY,
    IMAGES,
    NOTHING,
    PIXELCNN,
    UNIT_SQUARE,
    VECTORS,
    normal,
    params_of,
    pixels_of,
    refused,
)

pytestmark = pytest.mark.usefixtures("small_batches")


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


def test_latents_of_another_shape_are_refused():
    for shape in ((4, 3), (4,)):
        with pytest.raises(ValueError, match=r"expected shape \(\*batch, 2,\); got"):
            from_latents(vector_flow(2), {}, np.ones(shape, np.float32))
