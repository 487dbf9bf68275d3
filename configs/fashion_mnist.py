"""Fashion-MNIST by the model of `mnist`. We know of no published bits/dim for RealNVP."""

from realnvp_jax.configs import mnist


def get_config():
    """MNIST's model, without flips: clothes have no handedness, but all shoes point to the left."""
    config = mnist.get_config()
    config.dataset.name = "fashion_mnist"
    return config
