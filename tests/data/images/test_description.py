"""Descriptions of images."""

import numpy as np
from PIL import Image

from realnvp_jax.data.images.description import describe, image_data
from tests.data.images.helpers import pixels


def test_a_description_counts(three_splits, tmp_path):
    description = describe(image_data(three_splits, cache_dir=str(tmp_path / "cache")))
    train, test = description.splits
    assert (train.name, train.num, train.repeated, train.in_first) == ("train", 20, 1, 0)
    assert (test.name, test.num, test.repeated, test.in_first) == ("test", 10, 1, 2)
    x = np.load(three_splits)["train"]
    assert train.levels == (len(np.unique(x)), x.min(), x.max())
    np.testing.assert_allclose(train.mean, x.mean((0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(train.deviation, x.std((0, 1, 2)) / 255, rtol=1e-6)
    assert description.shape == (5, 4, 3)
    assert next(iter(description.baselines)) == "uniform over 256 levels"
    assert description.baselines["uniform over 256 levels"][0] == 8
    assert {count for _, _, count in description.baselines.values()} == {0, 10}
    smaller = describe(image_data(three_splits, cache_dir=str(tmp_path / "cache"), num_bits=2), (4, 4, 1))
    assert smaller.shape == (4, 4, 1)
    assert smaller.splits[1].levels == (4, 0, 3)


def test_pictures_of_one_size_keep_it_and_others_are_said_to_be_resized(tmp_path):
    for i in range(12):
        Image.fromarray(pixels(40, 36, seed=i)).save(tmp_path / f"{i}.png")
    options = {"cache_dir": str(tmp_path / "cache")}
    description = describe(image_data(str(tmp_path), **options))
    assert (description.shape, description.is_resized) == ((40, 36, 1), False)
    Image.fromarray(pixels(50, 36, 3)).save(tmp_path / "other.png")
    description = describe(image_data(str(tmp_path), **options))
    assert (description.shape, description.is_resized) == ((32, 32, 3), True)
    assert "32x32 pixels (cropped and resized), 3 channel(s)" in str(description)
