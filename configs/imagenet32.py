"""The paper's model of downsampled ImageNet, 32x32. Expected: 4.28 bits/dim on its validation split (the paper).

TFDS calls it downsampled_imagenet/32x32. If the archives can no longer be downloaded, put train_32x32.tar and
valid_32x32.tar into dataset.manual_dir.
"""

from realnvp_jax.configs import default


def get_config():
    """Four scales, no flips; the last 10,000 training images choose the step."""
    config = default.get_config()
    config.dataset.name = "downsampled_imagenet/32x32"
    config.dataset.train = "train[:-10000]"
    config.dataset.validation = "train[-10000:]"
    config.dataset.test = "validation"
    config.dataset.flip = False
    config.model.num_scales = 4
    config.model.base_features = 32
    config.model.num_blocks = 4
    return config
