"""The paper's CIFAR-10 model and training. Expected: 3.49 bits/dim on the test set (the paper)."""

from realnvp_jax.configs import default


def get_config():
    """The default config, which is this experiment."""
    return default.get_config()
