"""20x20 black-and-white images of rectangles, discs and triangles by RealNVP, for comparison with shapes_pixelcnn.

Expected: 0.26 bits/dim on the test split.
"""

from realnvp_jax.configs import default


def get_config():
    """A small RealNVP, about 25 minutes on two CPU cores."""
    config = default.get_config()
    config.num_steps = 4000
    config.batch_size = 32
    config.schedule.name = "cosine"
    config.ema_decay = 0.998
    config.dataset.name = "shapes"
    config.dataset.num_train = 20_000
    config.dataset.train = "train"
    config.dataset.validation = "validation"
    config.dataset.flip = False
    config.model.event_shape = (20, 20, 1)
    config.model.levels = 2
    config.model.num_scales = 3
    config.model.base_features = 16
    config.model.num_blocks = 2
    config.checkpoint.every = 500
    config.evaluate.every = 500
    return config
