"""Keys of configs: defaults for those that are missing, and values of a command line."""

from pathlib import Path

import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.configs import default, digits
from realnvp_jax.runs.config_keys import filled, with_overrides
from tests.helpers import refusal


def test_missing_keys_take_their_defaults():
    config = filled({"seed": 3, "dataset": {"name": "digits"}, "model.event_shape": [8, 8, 1], "learning_rate": 1})
    assert (config.seed, config.dataset.name, config.model.event_shape) == (3, "digits", (8, 8, 1))
    assert config.learning_rate == 1.0
    given = {"seed": np.int64(3), "dataset": {"path": Path("x.csv"), "flip": np.bool_(True)}}
    config = filled({**given, "learning_rate": np.float32(0.5)})
    assert (config.seed, config.dataset.path, config.dataset.flip, config.learning_rate) == (3, "x.csv", True, 0.5)
    assert config.batch_size == default.get_config().batch_size
    assert filled(digits.get_config()) == digits.get_config()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sead": 1}, "expected the config to have known keys; got 'sead': did you mean 'seed'?"),
        ({"dataset": {"nam": "digits"}}, "did you mean 'dataset.name'?"),
        ({"seed": "a"}, "expected config.seed of type int, such as 0; got 'a'"),
        ({"model": {"hidden": 3}}, "expected config.model.hidden of type tuple"),
        (3, "expected a ConfigDict or a dict from the config; got int"),
    ],
)
def test_configs_that_cannot_be_filled(config, message):
    assert message in refusal(filled, config)


def test_parameters_of_parts_of_ones_own_are_keys():
    @realnvp_jax.register("conditioner", "conditioner_of_a_test")
    class Mine(realnvp_jax.Conditioner):
        my_size: int = realnvp_jax.parameter(4, "a size")

    own = {"model": {"conditioner": "conditioner_of_a_test", "my_size": 7}}
    assert filled(own).model.my_size == 7
    message = refusal(filled, {"model": {"my_size": 7}})
    assert "got 'model.my_size', a parameter of a part that was registered, but is not in this config" in message
    assert "config.model.my_size = ..." in refusal(with_overrides, digits.get_config(), ["--config.model.my_size=7"])


def test_values_of_a_command_line():
    config = with_overrides(
        digits.get_config(),
        ["--config.seed", "7", "--config.model.num_blocks=3", "--config.dataset.flip", "--config.dataset.path=a b=c"],
    )
    assert (config.seed, config.model.num_blocks, config.dataset.flip, config.dataset.path) == (7, 3, True, "a b=c")
    assert with_overrides(config, ["--config.seed", "-1"]).seed == -1
    assert with_overrides(config, ["--noconfig.dataset.flip"]).dataset.flip is False
    assert with_overrides(config, ["--config.model.event_shape=(4,4,1)"]).model.event_shape == (4, 4, 1)
    assert config.model.event_shape == (8, 8, 1)
    twice = ["--config.model.event_shape=(4,4,1)", "--config.seed=1", "--config.model.event_shape=(2,2,1)"]
    assert with_overrides(config, twice).model.event_shape == (2, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.seed=1.5"], "expected a value of the key's type; got flag --config.seed=1.5"),
        (["--config.seed="], "expected a value of the key's type"),
        (["--config.dataset.path", "--config.seed=3"], "expected a value for --config.dataset.path; got none"),
        (["--config.seed"], "expected a value for --config.seed; got none"),
        (["--config.dataset.flip=maybe"], "expected a value of the key's type"),
        (["--config.dataset=digits"], "expected a config key; got 'dataset'"),
        (["x"], "expected --config.KEY=VALUE after the config; got 'x'"),
        (["--path=x"], "expected a config key as --config.dataset.path=...; got '--path=x'"),
        (["--foo"], "expected --workdir, --seeds, --traceback or --config.KEY=VALUE; got '--foo'"),
        (["--config.model.num_layers=3"], "expected a key that the image_flow reads"),
    ],
)
def test_mistakes_on_a_command_line(arguments, message):
    assert message in refusal(with_overrides, digits.get_config(), arguments)
