"""CelebA at 32x32, cut as in `celeba64`. The paper has no number for this size."""

from realnvp_jax.configs import celeba64


def get_config():
    """One scale fewer than `celeba64`, so that the last scale is 4x4 again."""
    config = celeba64.get_config()
    config.model.event_shape = (32, 32, 3)
    config.model.num_scales = 4
    return config
