"""Labels of images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import realnvp_jax
from realnvp_jax.data.images import cache
from realnvp_jax.data.images.arrays import array_source
from realnvp_jax.data.images.cache import decode_once, list_cache
from realnvp_jax.data.images.description import describe, image_data
from realnvp_jax.data.images.folder import folder_source
from realnvp_jax.data.images.framed import FramedImages, load_classes, load_images, load_split
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.labels import find_classes, grid_columns, one_hot, renumber
from realnvp_jax.data.images.shapes import KINDS, sample_labelled_shapes
from realnvp_jax.data.images.source import Labels, Source
from tests.data.images.archives import ARCHIVES, expect_these_archives
from tests.data.images.helpers import counted_source, pixels
from tests.helpers import images_of, refusal

SPLITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}
FRAMING = Framing((4, 3, 1))
FLOW = realnvp_jax.image_flow((4, 3, 1), num_scales=1)


def load(data: FramedImages, split_names: dict[str, str] | None = None, classes: tuple[str, ...] | None = None):
    """The splits with labels as context, by default of the classes of the training split."""
    names = split_names or SPLITS
    return load_images(data, names, FLOW, classes or load_classes(data.dataset, names["train"]))


def save_pictures(root: Path, names: list[str], size: tuple[int, int] = (4, 3)) -> None:
    """Pictures whose pixels say their place in the list."""
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full(size, i, np.uint8)).save(root / name)


# what offers labels


def test_digits_and_shapes_have_labels():
    flow = realnvp_jax.image_flow((8, 8, 1), levels=17)
    data = images_of("digits")
    splits = load_images(data, SPLITS, flow, load_classes(data.dataset, "all"))
    assert splits.classes == tuple("0123456789")
    assert splits.train.context.dtype == np.float32
    assert splits.train.batch(np.arange(3))["context"].shape == (3, 10)
    x = np.concatenate([splits.train.x, splits.validation.x, splits.test.x])[..., 0]
    labels = np.concatenate([splits.train.context, splits.validation.context, splits.test.context]).argmax(1)
    order = np.random.default_rng(0).permutation(1797)
    np.testing.assert_array_equal(x, load_digits().images[order])
    np.testing.assert_array_equal(labels, load_digits().target[order])
    assert load_images(data, SPLITS, flow).train.context is None
    decoded = load_split(images_of("shapes", num_train=50), "train", Framing((20, 20, 1)))
    assert decoded.classes == KINDS
    images, kinds = sample_labelled_shapes(50, (0, 0))
    np.testing.assert_array_equal(decoded.images, images)
    np.testing.assert_array_equal(decoded.labels, kinds)
    columns_of_rectangles = images[kinds == 0][..., 0].sum(1)
    assert all(len(set(heights) - {0}) == 1 for heights in columns_of_rectangles)


def test_the_folders_of_a_folder_are_classes(tmp_path):
    names = [f"{kind}/{'deep/' if i % 2 else ''}{i}.png" for kind in ("dog", "a cat", "eel") for i in range(7)]
    save_pictures(tmp_path / "x", names)
    data = images_of("folder", path=str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
    assert load_classes(data.dataset, "all[:80%]") == ("a cat", "dog", "eel")
    splits = load(data)
    for role in SPLITS:
        part = getattr(splits, role)
        assert len(part) == len(splits.files[role]) > 0
        for name, image, context in zip(splits.files[role], part.x, part.context, strict=True):
            assert splits.classes[context.argmax()] == name.partition("/")[0]
            assert names[image[0, 0, 0]] == name
    assert set(splits.sha256) == {"all", "labels of all"}
    description = describe(image_data(str(tmp_path / "x"), cache_dir=str(tmp_path / "cache")))
    assert "labels of all, 3 classes: 'a cat 7, dog 7, eel 7'" in str(description)
    save_pictures(tmp_path / "x", ["e.png"])
    message = refusal(load_classes, data.dataset, "all")
    assert "got a picture outside of any subfolder, 'e.png': use data with a label for each image" in message
    assert load_images(data, SPLITS, FLOW).train.context is None


def test_splits_of_a_folder_share_their_classes(tmp_path):
    save_pictures(tmp_path / "x", [f"{s}/{k}/{i}.png" for s in ("train", "val") for k in "abc" for i in range(2)])
    save_pictures(tmp_path / "x", ["test/c/0.png", "test/a/0.png"])
    data = images_of("folder", path=str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
    names = {"train": "train", "validation": "val", "test": "test"}
    splits = load(data, names)
    classes = [splits.classes[i] for i in splits.test.context.argmax(1)]
    assert classes == [name.split("/")[1] for name in splits.files["test"]]
    assert splits.classes == ("a", "b", "c")
    turned = load(data, names, ("c", "b", "a")).test.context.argmax(1)
    assert [("c", "b", "a")[i] for i in turned] == classes
    save_pictures(tmp_path / "x", ["test/other/0.png"])
    message = refusal(load, data, names)
    assert "expected labels of the run's classes, 'a, b, c', in" in message
    assert "got 'other': use data with the classes of the training split" in message


def test_a_class_alone_is_refused(tmp_path):
    save_pictures(tmp_path / "x", ["cat/0.png", "cat/1.png"])
    data = images_of("folder", path=str(tmp_path / "x"), cache_dir=str(tmp_path / "cache"))
    message = refusal(load_classes, data.dataset, "all")
    assert "expected at least 2 classes in" in message
    assert "got 'cat': leave dataset.context empty" in message


@pytest.mark.parametrize(
    ("image", "label"), [("x", "y"), ("x", "x_labels"), ("x", "labels"), ("mine", "labels"), ("mine", "mine_labels")]
)
def test_labels_beside_the_only_array_of_images(tmp_path, image, label):
    x, y = np.arange(40, dtype=np.uint8).repeat(12).reshape(40, 4, 3), np.arange(40) % 3 * 5 - 5
    np.savez(tmp_path / "x.npz", **{image: x, label: y, "weights": np.ones(40)})
    data = images_of("npz", path=str(tmp_path / "x.npz"), cache_dir=str(tmp_path / "cache"), seed=3)
    splits = load(data)
    assert splits.classes == ("-5", "0", "5")
    for part in (splits.train, splits.validation, splits.test):
        np.testing.assert_array_equal(part.context.argmax(1), part.x[:, 0, 0, 0] % 3)


def test_labels_of_several_arrays(tmp_path):
    rng = np.random.default_rng(0)
    train, test = pixels(20, 4, 3), pixels(6, 4, 3, seed=1)
    y_train, y_test = rng.permutation(20) % 4, np.array([3, 0, 3, 3, 0, 0], np.uint8)
    np.savez(tmp_path / "x.npz", x_train=train, x_test=test, y_train=y_train, x_test_labels=y_test, labels=np.ones(6))
    data = images_of("npz", path=str(tmp_path / "x.npz"), cache_dir=str(tmp_path / "cache"))
    splits = load(data, {"train": "x_train[:-5]", "validation": "x_train[-5:]", "test": "x_test"})
    assert splits.classes == ("0", "1", "2", "3")
    np.testing.assert_array_equal(splits.train.context.argmax(1), y_train[:-5])
    np.testing.assert_array_equal(splits.test.context.argmax(1), y_test)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({}, "got no array called 'x_labels' or 'y' or 'labels': use data"),
        ({"y": np.zeros(5, int)}, "got shape '(5,)' of 'y' for 6 images, instead of (6,)"),
        ({"labels": np.zeros((6, 1), int)}, "got shape '(6, 1)' of 'labels' for 6 images"),
        ({"y": np.arange(6) / 2}, "got 'float64' in 'y' instead of whole numbers, such as 'y'.astype(int)"),
        ({"y": np.array(["cat"] * 6)}, "in 'y' instead of whole numbers"),
        ({"y": np.array([None] * 6)}, "got 'object' in 'y' instead of whole numbers"),
        ({"other": pixels(6, 4, 3), "labels": np.arange(6)}, "no array called 'x_labels' or 'y': use data"),
    ],
)
def test_labels_that_are_none_are_refused_where_they_are_asked_for(tmp_path, arrays, expected):
    np.savez(tmp_path / "x.npz", x=pixels(6, 4, 3), **arrays)
    data = images_of("npz", path=str(tmp_path / "x.npz"), cache_dir=str(tmp_path / "cache"))
    message = refusal(load_classes, data.dataset, "x")
    assert "expected labels in 'x.npz, x', for dataset.context='label'; got" in message
    assert expected in message
    names = {"train": "x[:4]", "validation": "x[4:5]", "test": "x[5:]"}
    assert load_images(data, names, FLOW).train.context is None
    assert refusal(load_images, data, names, FLOW, ("0", "1")) == message
    np.save(tmp_path / "x.npy", pixels(6, 4, 3))
    of_npy = images_of("npz", path=str(tmp_path / "x.npy"))
    assert "got an .npy file, which has one array" in refusal(load_classes, of_npy.dataset, "all")


def test_numbers_that_are_too_many_are_no_classes(tmp_path, monkeypatch):
    monkeypatch.setattr("realnvp_jax.data.images.arrays._MOST_CLASSES", 5)
    np.savez(tmp_path / "x.npz", x=pixels(6, 4, 3), y=np.arange(6))
    assert "6 distinct numbers in 'y', more than 5" in array_source(str(tmp_path / "x.npz"), "all", 0).labels


def test_labels_of_prepared_data(tmp_path, manual_dir, monkeypatch):
    images = ARCHIVES["cifar10"](manual_dir)["train"]
    expect_these_archives("cifar10", manual_dir, monkeypatch)
    options = {"data_dir": str(tmp_path / "data"), "manual_dir": str(manual_dir), "cache_dir": str(tmp_path / "cache")}
    data = images_of("cifar10", **options)
    decoded = load_split(data, "train", Framing((32, 32, 3)))
    expected = {image.tobytes(): i % 3 for i, image in enumerate(images)}
    assert [expected[image.tobytes()] for image in decoded.images] == decoded.labels.tolist()
    (directory,) = (tmp_path / "data" / "cifar10").iterdir()
    names = (directory / "label.labels.txt").read_text().split()
    assert load_classes(data.dataset, "train[:50%]") == decoded.classes == tuple(names)
    (directory / "label.labels.txt").unlink()
    assert load_classes(data.dataset, "train") == tuple(map(str, range(len(names))))
    features = json.loads((directory / "features.json").read_text())
    features["featuresDict"]["features"]["label"] = {"text": {}}
    (directory / "features.json").write_text(json.dumps(features))
    assert "got the features 'id, image, label': use data with a label" in refusal(load_classes, data.dataset, "train")


# the cache


def test_the_cache_keeps_labels_with_their_images(tmp_path):
    source, reads = counted_source(30)
    labelled = Source(
        source.title, source.identity, 30, source.read, source.files, labels=Labels(("a", "b"), lambda i: i // 10 - 1)
    )
    first = decode_once(labelled, FRAMING, tmp_path)
    again = decode_once(labelled, FRAMING, tmp_path)
    assert len(reads) == 30
    numbers = first.images[:, 0, 0, 0].astype(int)  # 7 is left out
    for decoded in (first, again):
        assert decoded.classes == ("a", "b")
        assert decoded.labels.dtype == np.int32
        np.testing.assert_array_equal(decoded.labels, numbers // 10 - 1)
    message = refusal(renumber, first.labels, ("a", "b"), ("a", "b"), "numbers")
    assert "expected a label for each image of 'numbers'" in message
    assert "got 9 images without a label: leave them out" in message
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (entry / "labels.bin").write_bytes(bytes(7))
    np.testing.assert_array_equal(decode_once(labelled, FRAMING, tmp_path).labels, first.labels)
    (entry / "labels.bin").unlink()
    np.testing.assert_array_equal(decode_once(labelled, FRAMING, tmp_path).labels, first.labels)
    assert len(reads) == 90


def test_entries_from_before_there_were_labels_are_not_read(tmp_path, monkeypatch):
    np.savez(tmp_path / "x.npz", x=pixels(6, 4, 3), y=np.arange(6) % 2)
    data = images_of("npz", path=str(tmp_path / "x.npz"), cache_dir=str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_LAYOUT", 1)
        load_split(data, "all", FRAMING)
    (entry,) = (path for path in (tmp_path / "cache").iterdir() if path.is_dir())
    description = json.loads((entry / "entry.json").read_text())
    del description["entry"]["classes"]
    (entry / "entry.json").write_text(json.dumps(description))
    (entry / "labels.bin").unlink()
    assert load_split(data, "all", FRAMING).classes == ("0", "1")
    assert [listed.title for listed in list_cache(tmp_path / "cache")] == ["x.npz", ""]
    cache.clear_cache(tmp_path / "cache")
    assert list_cache(tmp_path / "cache") == []


def test_other_labels_are_another_entry(tmp_path):
    x = pixels(6, 4, 3)
    data = images_of("npz", path=str(tmp_path / "x.npz"), cache_dir=str(tmp_path / "cache"))
    found = []
    for y in (np.array([0, 0, 0, 1, 1, 1]), np.array([1, 0, 0, 1, 1, 1])):
        np.savez(tmp_path / "x.npz", x=x, y=y)
        splits = load(data, {"train": "x", "validation": "x", "test": "x"})
        np.testing.assert_array_equal(splits.train.context.argmax(1), y)
        found.append(splits.sha256)
    assert found[0]["x"] == found[1]["x"]
    assert found[0]["labels of x"] != found[1]["labels of x"]
    (tmp_path / "a").mkdir()
    save_pictures(tmp_path / "a", ["k/0.png", "l/1.png"])
    before = folder_source(str(tmp_path / "a"), "all", 0).identity
    (tmp_path / "a" / "l").rename(tmp_path / "a" / "m")
    assert folder_source(str(tmp_path / "a"), "all", 0).identity != before


# names and numbers


def test_classes_are_found_by_name_and_by_number():
    assert find_classes("3", tuple("0123456789")) == [3]
    assert find_classes("5, 0", ("-5", "0", "5")) == [2, 1]
    animals = ("cat", "dog", "cat, wild")
    assert find_classes("dog,cat", animals) == [1, 0]
    assert find_classes("2", animals) == [2]
    assert find_classes("cat, wild", animals) == [2]
    message = refusal(find_classes, "dgo", animals)
    assert message == "expected one of the run's classes, 'cat, dog, cat, wild'; got 'dgo': did you mean 'dog'?"
    assert "got '1': did you mean" in refusal(find_classes, "1", ("-5", "0", "5"))
    many = tuple(f"a class with a long name, number {i}" for i in range(1000))
    refusal(find_classes, "x" * 1000, many)
    assert [grid_columns(2, 5), grid_columns(10, 64, least=4), grid_columns(50, 64, least=4)] == [3, 7, 4]
    np.testing.assert_array_equal(one_hot(np.array([1, 0]), 2), [[0, 1], [1, 0]])
