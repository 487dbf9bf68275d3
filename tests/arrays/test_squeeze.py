"""Squeezes."""

import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.squeeze import squeeze, squeeze_diagonal, unsqueeze, unsqueeze_diagonal

ONE_BLOCK = jnp.array([[[[1.0, 5.0], [2.0, 6.0]], [[3.0, 7.0], [4.0, 8.0]]]])  # pixels 1 2 / 3 4, second colour + 4


def test_squeeze_is_colour_major():
    np.testing.assert_array_equal(squeeze(ONE_BLOCK).ravel(), [1, 2, 3, 4, 5, 6, 7, 8])


def test_squeeze_diagonal_is_position_major_with_the_diagonal_first():
    np.testing.assert_array_equal(squeeze_diagonal(ONE_BLOCK).ravel(), [1, 5, 4, 8, 2, 6, 3, 7])


@pytest.mark.parametrize(("there", "back"), [(squeeze, unsqueeze), (squeeze_diagonal, unsqueeze_diagonal)])
def test_squeezes_are_permutations(there, back):
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    y = there(x)
    assert y.shape == (2, 2, 3, 12)
    np.testing.assert_array_equal(np.sort(y.ravel()), x.ravel())
    np.testing.assert_array_equal(back(y), x)
