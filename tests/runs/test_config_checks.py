"""Configs that make no sense are refused."""

import pytest

import realnvp_jax
from configs import shapes_pixelcnn, smoke, tabular_maf
from realnvp_jax.data.images.shapes import KINDS
from realnvp_jax.models.create import create
from realnvp_jax.runs.config_checks import check_config
from tests.helpers import refusal, tiny_labels_config


def test_what_cannot_be_is_refused():
    assert "memory to be one of" in refusal(realnvp_jax.image_flow, memory="forget")
    assert "dtype to be one of" in refusal(realnvp_jax.image_flow, dtype="float16")
    for key, value, model in (("profile", -1, "image_flow"), ("memory", "invert", "pixelcnn_flow")):
        config = smoke.get_config()
        config[key] = value
        config.model.name = model
        assert key in refusal(check_config, config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"context": "kind"}, "expected dataset.context to be 'label' or empty for images; got 'kind'"),
        ({"context": "", "classes": ("a", "b")}, "expected dataset.classes to be () unless images have"),
    ],
)
def test_configs_that_make_no_sense_are_refused(changes, expected):
    config = tiny_labels_config()
    config.dataset.update(changes)
    assert expected in refusal(check_config, config)


def test_a_flow_needs_the_classes_of_its_config():
    config = tiny_labels_config()
    check_config(config)
    for classes in ((), ("cat",)):
        config.dataset.classes = classes
        assert "expected at least 2 names of classes in dataset.classes" in refusal(create, config)
    config.dataset.classes = ("cat", "dog")
    assert create(config).context_size == 2
    config = shapes_pixelcnn.get_config()
    config.dataset.context, config.dataset.classes = "label", KINDS
    assert create(config).context_size == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_steps", 0), ("checkpoint.every", 0), ("evaluate.log_every", -1), ("evaluate.num_examples", -2)],
)
def test_counts_that_are_none_are_refused_before_anything_is_written(tmp_path, key, value):
    config = smoke.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=rf"expected {key} of at least \d; got {value}"):
        realnvp_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_batches_of_one_are_refused_before_anything_is_written(tmp_path):
    config = tabular_maf.get_config()
    config.batch_size, config.model.event_shape = 1, (6,)
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert "batch_size of at least 2 for a flow with batch statistics" in message
    assert not (tmp_path / "run").exists()
