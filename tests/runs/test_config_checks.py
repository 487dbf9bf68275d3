"""Configs that make no sense are refused."""

import pytest

import realnvp_jax
from configs import default, folder, shapes_pixelcnn, smoke, tabular_maf
from realnvp_jax.data.images.shapes import KINDS
from realnvp_jax.models.create import create
from realnvp_jax.registry import parameters, registered
from realnvp_jax.runs.config_checks import _RANGES, check_config
from realnvp_jax.runs.seeds import train_seeds
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.runs.workdir import Workdir
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
    with pytest.raises(ValueError, match=rf"expected {key} of at least \d.*; got {value}"):
        realnvp_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed", -1, "expected seed of at least 0 and at most 4294967295; got -1"),
        ("num_steps", 10**20, "expected num_steps of at least 1 and at most 2147483647"),
        ("batch_size", 0, "expected batch_size of at least 1"),
        ("learning_rate", -1.0, "expected learning_rate of at least 0 and at most 10000.0; got -1.0"),
        ("learning_rate", float("nan"), "expected learning_rate to be a finite number; got 'nan'"),
        ("ema_decay", 1.0, "expected ema_decay of at least 0 and below 1; got 1.0"),
        ("memory", "forget", "expected memory to be one of"),
        ("dtype", "float16", "expected dtype to be one of"),
        ("dataset.noise", -0.5, "expected dataset.noise of at least 0"),
        ("dataset.shift", -1, "expected dataset.shift of at least 0"),
        ("dataset.shift", 8, "expected dataset.shift, in pixels, below the smaller side of images of 8 x 8; got 8"),
        ("accumulate", 0, "expected accumulate of at least 1"),
        ("accumulate", 5, "expected a batch_size per device that accumulate=5 divides; got 32 for 1 device(s): use a"),
        ("dataset.num_bits", 9, "expected dataset.num_bits of at least 0 and at most 8"),
        ("optimizer.clip_norm", float("nan"), "expected optimizer.clip_norm to be a finite number"),
        ("optimizer.l2", -1.0, "expected optimizer.l2 of at least 0"),
        ("optimizer.beta1", 1.5, "expected optimizer.beta1 of at least 0 and below 1; got 1.5"),
        ("optimizer.epsilon", -1.0, "expected optimizer.epsilon of at most 1 and above 0; got -1.0"),
        ("optimizer.name", "adamm", "expected optimizer to be one of the registered adam"),
        ("schedule.name", "linear", "expected schedule.name to be one of"),
        ("schedule.decay_steps", -3, "expected schedule.decay_steps of at least 0"),
        ("model.name", "realnvp", "expected model.name to be one of"),
        ("batch_size", 5000, "expected at least batch_size=5000 examples in dataset.train='all[:80%]'; got 1438"),
    ],
)
def test_every_value_has_its_range(tmp_path, key, value, expected):
    config = smoke.get_config()
    config.update_from_flattened_dict({key: value})
    assert expected in refusal(realnvp_jax.train, config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_every_number_of_the_default_config_has_a_range():
    """Numbers of `model` and `optimizer` belong to factories and parts, which check their own."""
    numbers = {key for key, (value, _) in default.KEYS.items() if type(value) in (int, float)}
    optimizers = {f"optimizer.{name}" for part in registered("optimizer").values() for name in parameters(part)}
    assert {key for key in numbers if not key.startswith("model.")} <= {*_RANGES, *optimizers}


def test_a_run_that_is_shorter_than_its_warm_up_ends_in_it():
    config = folder.get_config()
    config.num_steps = 40
    assert config.schedule.warmup_steps > 40
    _, schedule = make_optimizer(config, create(config))
    assert 0 < schedule(20) < schedule(40) < config.learning_rate


def test_an_optimizer_that_averages_needs_no_other_average_and_no_decay(tmp_path):
    config = smoke.get_config()
    config.optimizer.name = "schedule_free"
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert message.startswith("expected ema_decay of 0 for ScheduleFree, which averages the parameters itself; got 0.9")
    config.ema_decay, config.schedule.name = 0.0, "one_cycle"
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert "whose average takes the place of a decay; got 'one_cycle'" in message
    assert not (tmp_path / "run").exists()


def test_batches_of_one_are_refused_before_anything_is_written(tmp_path):
    config = tabular_maf.get_config()
    config.batch_size, config.model.event_shape = 1, (6,)
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert "batch_size of at least 2 for a flow with batch statistics" in message
    assert not (tmp_path / "run").exists()


def test_parts_of_batches_of_one_are_refused_and_so_are_shifts_of_rows(tmp_path):
    config = tabular_maf.get_config()
    config.batch_size, config.accumulate, config.model.event_shape = 4, 4, (6,)
    message = refusal(realnvp_jax.train, config, tmp_path / "run")
    assert "grows without bound; got 4 in accumulate=4 parts: raise it" in message
    config.dataset.shift = 1
    assert "expected dataset.shift of 0 for the masked_autoregressive_flow" in refusal(check_config, config)


def test_seeds_are_not_trained_inside_of_another_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert "which holds a single run: use another --workdir" in refusal(train_seeds, smoke.get_config(), tmp_path, [0])


def test_a_workdir_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    message = refusal(Workdir(tmp_path / "file", smoke.get_config()).start)
    assert "expected a --workdir that is a directory or can be created" in message
