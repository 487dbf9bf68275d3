"""Small runs."""

import numpy as np
import pytest

from configs import smoke, table, toy2d
from realnvp_jax.runs.start import train


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A run of digits, six steps."""
    config = smoke.get_config()
    config.num_steps = 6
    config.evaluate.every = 3
    config.checkpoint.every = 3
    config.model.base_features = 2
    workdir = tmp_path_factory.mktemp("digits") / "run"
    train(config, workdir)
    return workdir


@pytest.fixture(scope="session")
def moons(tmp_path_factory):
    """A run of moons, six steps."""
    config = toy2d.get_config("moons")
    config.num_steps = 6
    config.evaluate.every = 3
    config.checkpoint.every = 3
    config.evaluate.num_examples = 500
    config.dataset.num_train = 600
    config.model.num_layers = 2
    config.model.hidden = (8,)
    workdir = tmp_path_factory.mktemp("moons") / "run"
    train(config, workdir)
    return workdir


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """A conditional run of a table."""
    directory = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 200)
    values = np.stack([kind, 5 * kind + rng.standard_normal(200), rng.gamma(2, 100, 200)], axis=1)
    np.savetxt(directory / "shop.csv", values, delimiter=",", header="kind,size,price", comments="")
    config = table.get_config()
    config.dataset.path = str(directory / "shop.csv")
    config.dataset.context = "kind"
    config.num_steps = 2
    config.batch_size = 32
    config.evaluate.every = 2
    config.evaluate.num_samples = 50
    config.model.num_layers = 2
    config.model.hidden = (8,)
    train(config, directory / "run")
    return directory / "run"
