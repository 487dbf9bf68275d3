"""Your own pictures: realnvp train folder --config.dataset.path=DIR, a folder of pictures.

PNG, JPEG, WebP, BMP and TIFF files are read, also in subfolders. The centred square of every picture is resized to
32x32; model.event_shape sets another size, and one channel makes the pictures greyscale:
--config.model.event_shape="(64,64,1)". Pictures are split 80 / 10 / 10 in an order that dataset.seed fixes. What to
expect depends on the pictures: `realnvp data DIR` shows them and simple baselines.
"""

from realnvp_jax.configs import default


def get_config():
    """A small model for a few hundred pictures or more; validation chooses the best step."""
    config = default.get_config()
    config.num_steps = 2000
    config.batch_size = 16
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 100
    config.ema_decay = 0.998
    config.dataset.name = "folder"
    config.dataset.crop = "centre"
    config.dataset.train = "all[:80%]"
    config.dataset.validation = "all[80%:90%]"
    config.dataset.test = "all[90%:]"
    config.model.event_shape = (32, 32, 3)
    config.model.num_scales = 2
    config.model.base_features = 16
    config.model.num_blocks = 2
    config.checkpoint.every = 250
    config.evaluate.every = 250
    return config
