"""Latents drawn anew scale by scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax import Chain, Flow, Rescale, image_flow
from realnvp_jax.analysis.latent_scales import latent_scales, resample_scales
from realnvp_jax.analysis.latents import to_latents
from realnvp_jax.squeeze import squeeze_diagonal
from tests.analysis.flows import (
    CONDITIONAL,
    IMAGES,
    NOTHING,
    PIXELCNN,
    THREE_SCALES,
    VECTORS,
    params_of,
    pixels_of,
    refused,
)
from tests.helpers import perturb

pytestmark = pytest.mark.usefixtures("small_batches")


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
