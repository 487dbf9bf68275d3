"""Augmentation: crops, shifts and flips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.training.augmentation import augment, random_crop, shift


def test_random_crops():
    x = np.arange(6 * 5, dtype=np.uint8).reshape(1, 6, 5, 1).repeat(3000, axis=0)
    key, numbers = jax.random.key(0), np.arange(3000)
    crops = np.asarray(random_crop(key, numbers, x, (4, 4, 1)))
    assert crops.shape == (3000, 4, 4, 1)
    corners, counts = np.unique(crops[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 5, 6, 10, 11]
    assert np.abs(counts - 500).max() < 100
    expected = np.stack([x[0, c // 5 : c // 5 + 4, c % 5 : c % 5 + 4] for c in crops[:, 0, 0, 0]])
    np.testing.assert_array_equal(crops, expected)
    some = random_crop(key, numbers[[5, 2]], x[:2], (4, 4, 1))  # only on its number does an image's crop depend
    np.testing.assert_array_equal(some, crops[[5, 2]])
    augmented = augment(key, jax.numpy.arange(4), jax.numpy.asarray(x[:4]), flip=False, shape=(4, 4, 1))
    np.testing.assert_array_equal(np.floor(augmented), crops[:4])
    np.testing.assert_array_equal(random_crop(key, numbers, x, (6, 5, 1)), x)
    for shape in [(4, 4, 3), (7, 4, 1)]:
        with pytest.raises(ValueError, match=r"expected images .* of at least"):
            random_crop(key, numbers, x, shape)


def test_flips_mirror_about_half_of_the_images():
    images = jnp.tile(jnp.arange(4, dtype=jnp.uint8)[None, None, :, None], (1000, 2, 1, 1))
    flipped = jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=True))
    mirrored = (flipped == jnp.flip(images, 2)).all((1, 2, 3))
    assert (mirrored | (flipped == images).all((1, 2, 3))).all()
    assert 430 < int(mirrored.sum()) < 570
    np.testing.assert_array_equal(jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=False)), images)


def test_shifts_repeat_the_pixels_of_the_edges():
    x = np.random.default_rng(0).integers(0, 200, (4, 5, 2)).astype(np.uint8)
    images = jnp.tile(jnp.asarray(x)[None], (3600, 1, 1, 1))
    key, numbers = jax.random.key(0), jnp.arange(3600)
    shifted = np.asarray(shift(key, numbers, images, 1))
    assert (shifted.shape, shifted.dtype) == (images.shape, np.uint8)
    padded = np.concatenate([x[:1], x, x[-1:]])
    padded = np.concatenate([padded[:, :1], padded, padded[:, -1:]], axis=1)
    for row, column in np.ndindex(3, 3):
        count = (shifted == padded[None, row : row + 4, column : column + 5]).all((1, 2, 3)).sum()
        assert abs(count - 400) < 80
    some = shift(key, numbers[jnp.array([5, 2])], images[:2], 1)  # only on its number does an image's place depend
    np.testing.assert_array_equal(some, shifted[[5, 2]])
    np.testing.assert_array_equal(augment(key, numbers, images, flip=False, shift_pixels=1), shifted)
    np.testing.assert_array_equal(shift(key, numbers, images, 0), images)
    continuous = images.astype(jnp.float32)
    assert augment(key, numbers, continuous, flip=True, shift_pixels=1) is continuous
