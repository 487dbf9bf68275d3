"""Data sets of a user's own: a small class, registered by one line, that the program splits, checks and trains on."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import realnvp_jax
from configs import digits_labels, table
from realnvp_jax import registry
from realnvp_jax.analysis.run import open_run
from realnvp_jax.data.named import find_dataset
from realnvp_jax.models.create import create
from realnvp_jax.runs.setup import load_data
from realnvp_jax.runs.start import train
from tests.helpers import images_of, refusal

NUM = 120


@pytest.fixture(autouse=True)
def no_other_names(monkeypatch):
    """The registry as it was before the test."""
    monkeypatch.setitem(registry._parts, "dataset", dict(registry._parts["dataset"]))


@dataclasses.dataclass(frozen=True)
class Mirrored(realnvp_jax.DataSet):
    """Images of two kinds: dark on the left, or on the right."""

    seed: int = 0
    strength: int = 200
    split_names = ("all",)

    def load(self, split):
        rng = np.random.default_rng(self.seed)
        x = rng.integers(0, 50, (NUM, 8, 8, 1)).astype(np.uint8)
        kinds = np.arange(NUM) % 2
        x[kinds == 0, :, :4] += np.uint8(self.strength)
        x[kinds == 1, :, 4:] += np.uint8(self.strength)
        return realnvp_jax.Examples(x, labels=np.array(["left", "right"])[kinds])


@dataclasses.dataclass(frozen=True)
class Line(realnvp_jax.DataSet):
    """Points about a line."""

    seed: int = 0
    is_of_images = False
    split_names = ("before", "after")

    def load(self, split):
        rng = np.random.default_rng([self.seed, self.split_names.index(split)])
        a = rng.normal(size=NUM)
        return realnvp_jax.Examples(np.stack([a, a + rng.normal(size=NUM), -a], axis=1), columns=("a", "b", "c"))


def of_images():
    """A tiny class-conditional model of the images."""
    realnvp_jax.register("dataset", "mirrored", Mirrored)
    config = digits_labels.get_config()
    config.num_steps, config.batch_size = 4, 8
    config.schedule.warmup_steps = 1
    config.evaluate.every = config.checkpoint.every = 2
    config.evaluate.num_samples = 4
    config.dataset.name = "mirrored"
    config.model.levels, config.model.num_scales, config.model.base_features, config.model.num_blocks = 256, 1, 2, 1
    return config


def of_vectors():
    """A tiny model of the points, conditional on a column."""
    realnvp_jax.register("dataset", "line", Line)
    config = table.get_config()
    config.num_steps, config.batch_size, config.init_examples = 4, 8, 0
    config.evaluate.every = config.checkpoint.every = 2
    config.evaluate.num_samples = 4
    config.dataset.name, config.dataset.context = "line", "c"
    config.dataset.train, config.dataset.validation, config.dataset.test = "before[:80%]", "before[80%:]", "after"
    config.model.num_layers, config.model.hidden, config.model.num_bins = 2, (4,), 4
    return config


def test_images_are_split_labelled_and_checked():
    config = of_images()
    config.dataset.classes = ("right", "left")
    splits = load_data(config, create(config))
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [96, 12, 12]
    np.testing.assert_array_equal(splits.train.context, np.eye(2)[1 - np.arange(96) % 2])
    with config.unlocked():
        config.dataset.strength, config.dataset.seed = 100, 3
    assert find_dataset(config.dataset, of_images=True) == Mirrored("mirrored", seed=3, strength=100)
    config.model.levels = 128
    assert "expected pixels in [0, 128)" in refusal(load_data, config, create(config))
    config.dataset.num_bits = 7
    assert load_data(config, create(config)).train.x.max() < 75
    config.dataset.train = "train[:80%]"
    message = refusal(load_data, config, create(config))
    assert message == "expected a part of all of 'mirrored', such as all[:80%]; got dataset.train='train[:80%]'"


def test_vectors_are_split_conditioned_and_checked():
    splits = load_data(of_vectors(), None)
    assert (splits.columns, splits.all_columns) == (("a", "b"), ("a", "b", "c"))
    assert (splits.train.x.shape, splits.train.x.dtype) == ((96, 2), np.float32)
    np.testing.assert_array_equal(splits.test.context[:, 0], -splits.test.x[:, 0])


@pytest.mark.parametrize("config", [pytest.param(of_images, marks=pytest.mark.slow), of_vectors])
def test_a_run_is_trained_resumed_evaluated_and_loaded(tmp_path, monkeypatch, config):
    config = config()
    train(config, tmp_path / "run")
    config.num_steps = 6
    result = train(config, tmp_path / "run")
    assert result["num_steps"] == 6
    run = open_run(tmp_path / "run")
    assert len(run.split("test")) == result["num_examples"]
    flow, params = realnvp_jax.load(tmp_path / "run")
    assert np.isfinite(flow.log_prob(params, run.split("test").x.astype(np.float32), run.split("test").context)).all()
    monkeypatch.setattr(sys.modules[__name__], "NUM", NUM + 10)
    config.num_steps = 8
    assert "as in its data.json; got" in refusal(train, config, tmp_path / "run")


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        (
            {"x": np.zeros((NUM, 8, 8, 1))},
            "uint8 images [n, height, width, channels] in 'mirrored'; got 'float64'",
        ),
        ({"x": np.zeros((NUM, 8, 8), np.uint8)}, "got 'uint8' of shape (120, 8, 8)"),
        (
            {"x": np.zeros((NUM, 9, 8, 1), np.uint8)},
            "images of shape (8, 8, 1), model.event_shape, in 'mirrored'",
        ),
        ({"labels": None}, "expected labels in 'mirrored', for dataset.context='label'; got none"),
        ({"labels": np.zeros(3)}, "expected a label for each of the 120 images of 'mirrored'; got (3,)"),
        (
            {"labels": np.full(NUM, 2), "classes": ("left", "right")},
            "its 2 classes, or -1; got 'int64' from",
        ),
        ({"labels": np.full(NUM, -1), "classes": ("left", "right")}, "got 120 images without a label"),
        ({"labels": np.full(NUM, "top")}, "expected labels of the run's classes, 'left, right', in 'mirrored, all'"),
    ],
)
def test_images_that_are_not_as_they_should_be_are_refused(monkeypatch, examples, expected):
    config = of_images()
    config.dataset.classes = ("left", "right")
    good = Mirrored().load("all")
    monkeypatch.setattr(Mirrored, "load", lambda self, split: dataclasses.replace(good, **examples))
    assert expected in refusal(load_data, config, create(config))


@pytest.mark.parametrize(
    ("examples", "expected"),
    [
        ({"x": np.zeros(NUM)}, "expected rows of numbers [n, D] in 'line'; got 'float64' of shape (120,)"),
        ({"x": np.full((NUM, 3), "a")}, "expected rows of numbers [n, D] in 'line'"),
        ({"x": np.ones((NUM, 3))}, "expected columns that vary; got the constant 1 in column 'a' (and 2 more)"),
        ({"x": np.full((NUM, 3), np.nan)}, "expected finite values"),
        ({"columns": ("a", "b")}, "expected distinct names for the 3 columns of 'line'; got 'a, b'"),
        (
            {"columns": ("a", "b", "d")},
            "expected dataset.context to name columns of 'line', of 'a, b, d'; got 'c': did",
        ),
        ({"labels": np.zeros(NUM)}, "expected Examples with only x and columns from 'line'"),
    ],
)
def test_vectors_that_are_not_as_they_should_be_are_refused(monkeypatch, examples, expected):
    config = of_vectors()
    good = Line().load("after")
    monkeypatch.setattr(Line, "load", lambda self, split: dataclasses.replace(good, **examples))
    assert expected in refusal(load_data, config, None)


def test_names_of_the_other_kind_and_unknown_names_are_refused():
    config = of_images()
    config.dataset.classes = ("left", "right")
    config.dataset.name = "moons"
    assert "expected dataset.name of images, one of" in refusal(load_data, config, create(config))
    config = of_vectors()
    config.dataset.name = "lines"
    message = refusal(load_data, config, None)
    assert message.startswith("expected dataset.name of vectors, one of ")
    assert "blobs, breast_cancer" in message
    assert "got 'lines': did you mean 'line'?" in message
    with pytest.raises(ValueError, match="expected a new name for a dataset; got 'digits'"):
        realnvp_jax.register("dataset", "digits", Mirrored)
    assert "did you mean 'mirrored'?" in refusal(images_of("mirored", data_dir="/nowhere").dataset.load, "all")


def test_the_package_alone_imports_no_reader_of_data():
    program = (
        "import sys, realnvp_jax; realnvp_jax.DataSet, realnvp_jax.Examples, realnvp_jax.register; "
        "print([m for m in ('orbax', 'tensorflow_datasets', 'matplotlib', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
