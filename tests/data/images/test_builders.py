"""Original archives are prepared without TensorFlow."""

import shutil
import sys

import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.data.images.framed import load_images
from tests.data.images.archives import ARCHIVES, expect_these_archives, mnist_archives
from tests.helpers import images_of


@pytest.mark.parametrize("name", list(ARCHIVES))
def test_original_archives_are_prepared_without_tensorflow(name, tmp_path, manual_dir, monkeypatch):
    import tensorflow_datasets as tfds

    images = ARCHIVES[name](manual_dir)
    expect_these_archives(name, manual_dir, monkeypatch)
    data = images_of(
        name, data_dir=str(tmp_path / "data"), manual_dir=str(manual_dir), cache_dir=str(tmp_path / "cache")
    )
    test = "test" if "test" in images else "validation"
    names = {"train": "train[:-1]", "validation": "train[-1:]", "test": test}
    flow = realnvp_jax.image_flow(images["train"].shape[1:], num_scales=1)
    splits = load_images(data, names, flow)
    found = {"train": np.concatenate([splits.train.x, splits.validation.x]), test: splits.test.x}
    for split, x in found.items():  # TFDS shuffles
        assert sorted(image.tobytes() for image in x) == sorted(image.tobytes() for image in images[split])
    assert "tensorflow" not in sys.modules
    source = tfds.data_source(name, split="train", data_dir=tmp_path / "data")  # plain TFDS opens it
    np.testing.assert_array_equal(source[0]["image"], found["train"][0])
    if name in ("cifar10", "mnist", "fashion_mnist", "svhn_cropped"):
        pairs = {example["image"].tobytes(): example["label"] for example in source}
        expected = np.arange(len(images["train"])) % (3 if name == "cifar10" else 10)
        if name == "svhn_cropped":
            expected = np.arange(6, 11) % 10
        assert [pairs[image.tobytes()] for image in images["train"]] == expected.tolist()
    shutil.rmtree(manual_dir)
    load_images(data, names, flow)  # what is prepared needs no archives


def test_the_same_file_names_are_kept_apart_by_folders(tmp_path, manual_dir, monkeypatch):
    (manual_dir / "fashion_mnist").mkdir()
    images = mnist_archives(manual_dir / "fashion_mnist")
    expect_these_archives("fashion_mnist", manual_dir / "fashion_mnist", monkeypatch)
    data = images_of(
        "fashion_mnist", data_dir=str(tmp_path / "data"), manual_dir=str(manual_dir), cache_dir=str(tmp_path / "cache")
    )
    flow = realnvp_jax.image_flow((28, 28, 1), num_scales=1)
    splits = load_images(data, {"train": "train", "validation": "test", "test": "test"}, flow)
    assert len(splits.train) == len(images["train"])
