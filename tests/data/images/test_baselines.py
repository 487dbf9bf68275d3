"""Simple codes to compare with."""

import numpy as np

from tests.data.images.helpers import pixels


def test_simple_codes():
    from realnvp_jax.data.images.baselines import file_bits, histogram_bits

    train = np.array([[0], [0], [0], [1]], np.uint8).reshape(4, 1, 1, 1)
    bits = histogram_bits(train, np.array([0, 1], np.uint8).reshape(2, 1, 1, 1), levels=2)
    np.testing.assert_allclose(bits, -np.log2([3.1 / 4.2, 1.1 / 4.2]))
    noise, flat = pixels(4, 32, 32, 3), np.zeros((4, 32, 32, 3), np.uint8)
    for file_format in ("PNG", "WebP"):
        assert 8 < file_bits(noise, file_format).mean() < 8.7
        assert file_bits(flat, file_format).max() < 0.5
