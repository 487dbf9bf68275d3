"""Arrays of images."""

import dataclasses
import itertools

import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.data.images.arrays import array_source, array_splits
from realnvp_jax.data.images.framed import load_images, load_split
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.splits import parse_split
from tests.data.images.helpers import SPLITS, pixels
from tests.helpers import images_of, refusal


def test_arrays_are_read_in_an_order_that_the_seed_fixes(tmp_path):
    x = pixels(20, 5, 4)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", images=x, labels=np.arange(20))
    flow = realnvp_jax.image_flow((5, 4, 1), num_scales=1)
    orders = []
    for path, seed in itertools.product(["x.npy", "x.npz"], [0, 1]):
        data = images_of("npz", path=str(tmp_path / path), cache_dir=str(tmp_path / "cache"), seed=seed)
        splits = load_images(data, SPLITS, flow)
        found = np.concatenate([splits.train.x, splits.validation.x, splits.test.x])
        np.testing.assert_array_equal(found, x[np.random.default_rng(seed).permutation(20), ..., None])
        orders.append(found)
    np.testing.assert_array_equal(orders[0], orders[2])
    assert not np.array_equal(orders[0], orders[1])


def test_several_arrays_are_splits_by_name(tmp_path):
    train, test = pixels(20, 5, 4, 3), pixels(6, 5, 4, 3, seed=1)
    np.savez_compressed(tmp_path / "x.npz", x_train=train, y_train=np.arange(20), x_test=test)
    path = str(tmp_path / "x.npz")
    assert array_splits(path) == ["x_train", "x_test"]
    data = images_of("npz", path=path, cache_dir=str(tmp_path / "cache"), num_bits=3)
    names = {"train": "x_train[:-5]", "validation": "x_train[-5:]", "test": "x_test"}
    splits = load_images(data, names, realnvp_jax.image_flow((5, 4, 3), num_scales=1, levels=8))
    np.testing.assert_array_equal(splits.train.x, train[:-5] >> 5)
    np.testing.assert_array_equal(splits.test.x, test >> 5)
    assert "'x_train, x_test', as a split; got 'all'" in refusal(array_source, path, "all", 0)
    message = refusal(load_images, data, names, realnvp_jax.image_flow((8, 4, 3), num_scales=1))
    assert "expected images of shape (8, 4, 3), model.event_shape, in 'x.npz, x_train'; got (5, 4, 3)" in message
    wide = dataclasses.replace(data, num_bits=0)
    message = refusal(load_images, wide, names, realnvp_jax.image_flow((5, 4, 3), num_scales=1, levels=8))
    assert "expected pixels in [0, 8)" in message


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": np.zeros((3, 5, 4), np.float32)}, "got 'float32': convert them, np.rint("),
        ({"x": np.zeros((3, 5, 4), np.int64)}, "got 'int64': convert them, x.astype(np.uint8) if they lie in [0, 255]"),
        ({"x": np.array([np.zeros((5, 4)), np.zeros((4, 4))], dtype=object)}, "such as images of different sizes"),
        ({"x": np.zeros((3, 5, 4), [(f"field_{i}", "u1") for i in range(99)])}, "expected uint8 pixels"),
        ({"x": np.zeros((3, 5, 0), np.uint8)}, "got shape (3, 5, 0)"),
        ({"x": np.zeros((3, 5), np.uint8)}, "expected an array [n, height, width] or [n, height, width, channels]"),
        ({}, "expected an array [n, height, width]"),
        ({"x": np.zeros((0, 5, 4), np.uint8)}, "got shape (0, 5, 4)"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, arrays, expected):
    np.savez(tmp_path / "x.npz", **arrays)
    assert expected in refusal(array_source, str(tmp_path / "x.npz"), "all", 0)
    if arrays:
        np.save(tmp_path / "x.npy", arrays["x"])
        refusal(array_source, str(tmp_path / "x.npy"), "all", 0)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    for name in ("x.npz", "x.npy"):
        assert "where there is no file" in refusal(array_source, str(tmp_path / name), "all", 0)
        (tmp_path / name).write_text("nothing")
        assert "expected an .npz or .npy file of images" in refusal(array_source, str(tmp_path / name), "all", 0)
    np.save(tmp_path / "y.npy", pixels(3, 5, 4))
    assert "'all', as a split; got 'train'" in refusal(array_source, str(tmp_path / "y.npy"), "train", 0)
    whole = (tmp_path / "y.npy").read_bytes()
    (tmp_path / "y.npy").write_bytes(whole[:-10])
    np.savez_compressed(tmp_path / "z.npz", x=pixels(30, 5, 4))
    damaged = bytearray((tmp_path / "z.npz").read_bytes())
    damaged[300:400] = bytes(100)
    (tmp_path / "z.npz").write_bytes(damaged)
    for name in ("y.npy", "z.npz"):
        data = images_of("npz", path=str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
        message = refusal(load_split, data, "all", Framing((5, 4, 1)))
        assert "expected an .npz or .npy file of images" in message


def test_other_content_beside_an_array_of_images_is_ignored(tmp_path):
    import zipfile

    np.savez(tmp_path / "x.npz", **{"my images": pixels(3, 5, 4)}, labels=np.array(["a", None, "b"]))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    assert array_source(str(tmp_path / "x.npz"), "all", 0).num == 3
    assert array_source(str(tmp_path / "x.npz"), "my images", 0).num == 3
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    assert array_source(str(tmp_path / "x.npy"), "all", 0).num == 3
    assert parse_split("my images[:80%]") == ("my images", "", "80%")
