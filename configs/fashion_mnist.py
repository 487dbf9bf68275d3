"""Fashion-MNIST by the model of `mnist`. Nobody has published bits/dim of RealNVP on it that we know of."""

from realnvp_jax.configs import mnist


def get_config():
    """MNIST's model; clothes have no handedness but shoes all point to the left, so no flips."""
    config = mnist.get_config()
    config.dataset.name = "fashion_mnist"
    return config
