"""The paper's model of downsampled ImageNet, 64x64. Expected: 3.98 bits/dim on its validation split (the paper).

The paper has two residual blocks per conditioner; the commands in the README of the authors' code have four.
"""

from realnvp_jax.configs import imagenet32


def get_config():
    """Five scales, no flips."""
    config = imagenet32.get_config()
    config.num_steps = 60_000
    config.dataset.name = "downsampled_imagenet/64x64"
    config.model.event_shape = (64, 64, 3)
    config.model.num_scales = 5
    config.model.num_blocks = 2
    return config
