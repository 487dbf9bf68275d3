"""Counter-examples."""

import numpy as np

from realnvp_jax.analysis.counter_examples import BOX, SHUFFLED, counter_images, counter_vectors
from tests.analysis.runs import pixels, points


def test_images_keep_their_shape_and_levels():
    x = pixels(5, 6, 8, 1, levels=17, seed=1)
    others = counter_images(x, 17)
    assert len(others) == 5
    for name, images in others.items():
        assert (images.shape, images.dtype) == (x.shape, np.uint8), name
        assert images.max() < 17, name
        assert (images != x).any(), name
    np.testing.assert_array_equal(others["upside down"][:, ::-1], x)
    np.testing.assert_array_equal(others["mirrored"][:, :, ::-1], x)


def test_shuffled_columns_keep_their_distributions_and_lose_their_dependence():
    x = points(2000, 1) + np.array([[0.0, 5.0]], np.float32)
    others = counter_vectors(x)
    np.testing.assert_array_equal(np.sort(others[SHUFFLED], axis=0), np.sort(x, axis=0))
    assert abs(np.corrcoef(others[SHUFFLED], rowvar=False)[0, 1]) < 0.1
    assert others[BOX].dtype == x.dtype
    assert others[BOX].std() > x.std()
    assert set(counter_vectors(x[:, :1])) == {BOX}
