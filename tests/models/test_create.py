"""Flows of configs."""

import pytest
from ml_collections import ConfigDict

import realnvp_jax
from realnvp_jax.configs import cifar10, cifar10_large, default, digits, mnist, mnist_small, smoke, toy2d


def test_every_config_has_every_key_and_the_papers_values():
    def keys(config, prefix=""):
        for key, value in config.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, ConfigDict) else [prefix + key]

    for module in (cifar10, cifar10_large, digits, mnist, mnist_small, smoke, toy2d):
        assert set(keys(module.get_config())) == set(default.KEYS)
        realnvp_jax.create(module.get_config())
    config = cifar10.get_config()
    assert realnvp_jax.create(config) == realnvp_jax.image_flow()
    assert (config.learning_rate, config.batch_size, config.num_steps) == (1e-3, 64, 80_000)
    assert (config.optimizer.clip_norm, config.optimizer.l2, config.optimizer.epsilon) == (100, 5e-5, 1e-8)
    assert (config.ema_decay, config.schedule.name, config.schedule.warmup_steps) == (0, "constant", 0)
    assert realnvp_jax.create(mnist.get_config()).event_shape == (28, 28, 1)
    with pytest.raises(AttributeError, match="Did you mean"):
        config.lerning_rate = 3.0
