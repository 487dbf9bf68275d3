"""Images are split, and refused where they do not fit."""

import numpy as np
import pytest

import realnvp_jax
from configs import digits
from realnvp_jax.data.images.framed import load_images
from tests.helpers import images_of

DIGITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}


def test_digits_are_all_there_once():
    flow = realnvp_jax.create(digits.get_config())
    splits = load_images(images_of("digits"), DIGITS, flow)
    arrays = [part.x for part in (splits.train, splits.validation, splits.test)]
    assert [len(a) for a in arrays] == [1438, 179, 180]
    assert all(a.dtype == np.uint8 and a.shape[1:] == (8, 8, 1) for a in arrays)
    assert np.concatenate(arrays).max() == 16
    everything = load_images(images_of("digits"), dict.fromkeys(DIGITS, "all"), flow).test.x
    np.testing.assert_array_equal(np.concatenate(arrays), everything)


@pytest.mark.parametrize(
    ("name", "splits", "message"),
    [
        ("digit", DIGITS, r"got 'digit': did you mean 'digits'\?"),
        ("digits", {"train": "train"}, "expected a part of all of 'digits', such as all"),
        ("digits", {"train": "all[:0]"}, r"expected examples in dataset.train='all\[:0\]'; got none of 1797"),
        ("digits", {"train": "all:80"}, r"expected a split such as train, train\[:90%\]"),
    ],
)
def test_data_that_are_not_there_are_refused(name, splits, message):
    with pytest.raises(ValueError, match=message) as raised:
        load_images(images_of(name, data_dir="/nowhere"), splits, realnvp_jax.create(digits.get_config()))
    assert len(str(raised.value)) <= 400


def test_images_that_do_not_fit_the_flow_are_refused():
    with pytest.raises(ValueError, match=r"expected images of shape \(4, 4, 1\), model.event_shape, in 'digits'"):
        load_images(images_of("digits"), DIGITS, realnvp_jax.image_flow((4, 4, 1), num_scales=1))
    narrow = realnvp_jax.image_flow((8, 8, 1), levels=16)
    with pytest.raises(ValueError, match=r"expected pixels in \[0, 16\); got values from 0 to 16"):
        load_images(images_of("digits"), DIGITS, narrow)
