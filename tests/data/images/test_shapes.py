"""The generated images of shapes."""

import numpy as np
import pytest

from realnvp_jax import pixelcnn_flow
from realnvp_jax.data.images.framed import load_images
from realnvp_jax.data.images.shapes import sample_shapes
from tests.helpers import images_of

SPLITS = {"train": "train", "validation": "validation", "test": "test[:50]"}


def test_images_depend_on_the_seed_alone():
    images = sample_shapes(300, 0)
    assert images.shape == (300, 20, 20, 1)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, sample_shapes(300, 0))
    assert (images != sample_shapes(300, 1)).any(axis=(1, 2, 3)).all()


def test_every_image_is_one_whole_convex_shape():
    images = sample_shapes(500, 0)[..., 0]
    assert set(np.unique(images)) == {0, 1}
    area = images.sum(axis=(1, 2))
    assert area.min() >= 8
    assert area.max() <= 13 * 13
    for lines in (images, images.swapaxes(1, 2)):  # convex: the white pixels of a row or a column are neighbours
        changes = np.abs(np.diff(np.pad(lines, ((0, 0), (0, 0), (1, 1))).astype(int), axis=2)).sum(axis=2)
        assert set(np.unique(changes)) <= {0, 2}


def test_a_third_are_rectangles_and_every_place_is_likely():
    images = sample_shapes(3000, 0)[..., 0].astype(bool)
    rows, columns = images.any(axis=2).sum(axis=1), images.any(axis=1).sum(axis=1)
    is_rectangle = images.sum(axis=(1, 2)) == rows * columns
    assert abs(is_rectangle.mean() - 1 / 3) < 0.04
    assert {*rows[is_rectangle], *columns[is_rectangle]} == set(range(4, 14))
    mean = images.mean(axis=0)
    assert mean.min() > 0
    np.testing.assert_allclose(mean, mean[::-1], atol=0.05)
    np.testing.assert_allclose(mean, mean[:, ::-1], atol=0.05)


def test_splits_of_shapes():
    flow = pixelcnn_flow((20, 20, 1), levels=2)
    splits = load_images(images_of("shapes", num_train=70, seed=3), SPLITS, flow)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (70, 2000, 50)
    np.testing.assert_array_equal(splits.train.x, sample_shapes(70, (3, 0)))
    with pytest.raises(ValueError, match="expected a part of train or validation or test of 'shapes', such as train"):
        load_images(images_of("shapes"), {**SPLITS, "test": "all"}, flow)
    with pytest.raises(ValueError, match=r"expected num_train of at least 1 and at most 1000000; got 0"):
        load_images(images_of("shapes", num_train=0), SPLITS, flow)
    with pytest.raises(ValueError, match="at least one image of shapes; got num=0"):
        sample_shapes(0, 0)
    with pytest.raises(ValueError, match="expected images of shape"):
        load_images(images_of("shapes"), SPLITS, pixelcnn_flow((28, 28, 1), levels=2))
