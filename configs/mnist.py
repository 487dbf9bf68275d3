"""MNIST, 28x28 without padding, three scales down to 7x7. FFJORD's paper reports 1.06 bits/dim for RealNVP."""

from realnvp_jax.configs import default


def get_config():
    """Greyscale, no flips (digits have a handedness)."""
    config = default.get_config()
    config.dataset.name = "mnist"
    config.dataset.train = "train[:55000]"
    config.dataset.validation = "train[55000:]"
    config.dataset.flip = False
    config.model.event_shape = (28, 28, 1)
    config.model.num_scales = 3
    config.model.base_features = 32
    config.model.num_blocks = 4
    return config
