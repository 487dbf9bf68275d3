"""Prepared data sets are found and read."""

import contextlib
import json
import shutil
import sys

import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.data.images.framed import load_images, load_split
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.prepared import find_prepared, prepared_source
from tests.fuzz.samples import write_array_record
from tests.helpers import ROOT, images_of, refusal


def test_prepared_data_of_another_kind_are_refused(tmp_path):
    directory = tmp_path / "data" / "tiny" / "1.0.0"
    directory.mkdir(parents=True)
    info = {"name": "tiny", "version": "1.0.0", "splits": [{"name": "train", "shardLengths": ["3"]}, {"name": "test"}]}
    image = {"image": {"image": {"dtype": "uint8", "shape": {"dimensions": ["32", "32", "3"]}}}}

    def write(info, features) -> None:
        (directory / "dataset_info.json").write_text(json.dumps(info))
        (directory / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))

    def load(split: str = "train") -> None:
        data = images_of("tfds", path=str(directory), cache_dir=str(tmp_path / "cache"))
        load_images(data, {"train": split}, realnvp_jax.image_flow((32, 32, 3)))

    write({**info, "fileFormat": "tfrecord"}, image)
    assert "prepared with file_format='array_record'; got tfrecord" in refusal(load)
    write({**info, "fileFormat": "array_record"}, {"text": {}})
    assert "expected a feature 'image' of uint8 images in 'tiny/1.0.0'; got 'text'" in refusal(load)
    write({**info, "fileFormat": "array_record"}, image)
    assert "expected one of the splits ['test', 'train'] of 'tiny/1.0.0'; got 'all'" in refusal(load, "all")
    assert "expected examples in the split 'test'" in refusal(load, "test")
    assert "expected a data set that TFDS has prepared" in refusal(load)  # its records are not there
    (directory / "features.json").write_text("{")
    assert "expected a data set that TFDS has prepared" in refusal(load)
    (directory / "dataset_info.json").write_text("{}")
    assert "no name, version or splits" in refusal(load)


def test_the_newest_version_that_can_be_read_is_taken(tmp_path):
    for version, kind in [("1.9.0", "array_record"), ("1.10.0", "array_record"), ("2.0.0", "tfrecord")]:
        (tmp_path / "tiny" / version).mkdir(parents=True)
        (tmp_path / "tiny" / version / "dataset_info.json").write_text(json.dumps({"fileFormat": kind}))
    shutil.copytree(tmp_path / "tiny" / "1.9.0", tmp_path / "tiny" / "incomplete.ABC_9.0.0")
    assert find_prepared("tiny", tmp_path).name == "1.10.0"
    shutil.rmtree(tmp_path / "tiny" / "1.10.0")
    shutil.rmtree(tmp_path / "tiny" / "1.9.0")
    assert find_prepared("tiny", tmp_path).name == "2.0.0"
    assert find_prepared("other", tmp_path) is None


def test_a_directory_without_a_data_set_is_refused(tmp_path):
    data = images_of("tfds", path=str(tmp_path))
    assert "with dataset_info.json" in refusal(load_images, data, {"train": "all"}, realnvp_jax.image_flow((8, 8, 1)))


SHARED = ROOT.parent / "shared" / "tfds"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the whole of CIFAR-10 and MNIST")
@pytest.mark.parametrize(
    ("name", "shape", "means"),
    [("cifar10", (32, 32, 3), [0.4914, 0.4822, 0.4465]), ("mnist", (28, 28, 1), [0.1307])],
)
def test_whole_data_sets_have_the_known_means(name, shape, means, tmp_path):
    data = images_of(name, data_dir=str(SHARED), cache_dir=str(tmp_path))
    x = load_split(data, "train", Framing(shape)).images
    np.testing.assert_allclose(x.mean((0, 1, 2)) / 255, means, atol=5e-5)


@pytest.mark.parametrize(
    "image",
    [
        [],
        "x",
        {"image": []},
        {"image": {"shape": []}},
        {"image": {"shape": {"dimensions": ["x"]}}},
        {"image": {"shape": {"dimensions": 3}}},
    ],
)
def test_features_that_are_not_as_tfds_writes_them_are_refused(tmp_path, image):
    split = {"name": "train", "shardLengths": ["3"]}
    info = {"name": "x", "version": "1.0.0", "fileFormat": "array_record", "splits": [split]}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / "features.json").write_text(json.dumps({"featuresDict": {"features": {"image": image}}}))
    refusal(prepared_source, tmp_path, "train")
    for splits in ({}, [{}], [[]], [{**split, "shardLengths": ["x"]}], [{**split, "shardLengths": 3}], "x", None):
        (tmp_path / "dataset_info.json").write_text(json.dumps({**info, "splits": splits}))
        refusal(prepared_source, tmp_path, "train")
    (tmp_path / "features.json").write_text("[" * 100_000)
    refusal(prepared_source, tmp_path, "train")


def with_other_classes(features: dict, form: str) -> None:
    """Name a class of the module `never` in features.json, in a way that TFDS accepts."""
    named = features["featuresDict"]["features"]
    if form == "a feature's class":
        named["image"]["pythonClassName"] = "never.X"
    elif form == "snake case":
        named["image"]["python_class_name"] = (
            named["image"]
            .pop("pythonClassName")
            .replace("tensorflow_datasets.core.features.image_feature.Image", "never.X")
        )
    elif form == "a legacy type":
        features.update(type="never.X", content={})
    else:
        feature = json.dumps({"feature": {"type": "never.X", "content": {}}, "length": None})
        kind = "tensorflow_datasets.core.features.sequence_feature.Sequence"
        named["more"] = {"pythonClassName": kind, "jsonFeature": {"json": feature}}


@pytest.mark.parametrize("form", ["a feature's class", "snake case", "a legacy type", "JSON in JSON"])
def test_no_class_that_a_file_names_is_imported(form, tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    write_array_record(tmp_path / "data")
    (directory,) = (path.parent for path in tmp_path.glob("data/*/*/features.json"))
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "never.py").write_text("import pathlib\npathlib.Path(__file__).with_name('mark').touch()\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    features = json.loads((directory / "features.json").read_text())
    with_other_classes(features, form)
    (directory / "features.json").write_text(json.dumps(features))
    source = prepared_source(directory, "train")
    assert source.num == 12
    assert source.read(Framing((8, 8, 3), "centre"), 11).shape == (8, 8, 3)
    assert [source.labels.number(i) for i in range(12)].count(1) == 6
    assert not (tmp_path / "modules" / "mark").exists()
    with contextlib.suppress(Exception):  # the class is not a feature
        tfds.builder_from_directory(directory)
    assert (tmp_path / "modules" / "mark").exists()  # reading features.json by TFDS imports it
    sys.modules.pop("never")


def test_many_claimed_classes_are_refused(tmp_path):
    split = {"name": "train", "shardLengths": ["3"]}
    info = {"name": "x", "version": "1.0.0", "fileFormat": "array_record", "splits": [split]}
    features = {"image": {"image": {}}, "label": {"classLabel": {"numClasses": "100000000000"}}}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    (tmp_path / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    refusal(prepared_source, tmp_path, "train")
