"""Your own images in an array: realnvp train npz --config.dataset.path=FILE, a .npz or .npy file of uint8 images.

The array is [n, height, width] or [n, height, width, channels]. If its size is not model.event_shape, set dataset.crop.
It is split 80 / 10 / 10 in an order that dataset.seed fixes. Several arrays in an .npz file are splits by name:
--config.dataset.train=x_train[:-1000] --config.dataset.validation=x_train[-1000:] --config.dataset.test=x_test.
"""

from realnvp_jax.configs import folder


def get_config():
    """The model of `folder`."""
    config = folder.get_config()
    config.dataset.name = "npz"
    config.dataset.crop = "none"
    return config
