"""scikit-learn's 1,797 handwritten digits, 8x8 with 17 levels: real data that ship with a dependency."""

from configs import default


def get_config():
    """A small model that a laptop trains in a few minutes."""
    config = default.get_config()
    config.num_steps = 1500
    config.batch_size = 64
    config.ema_decay = 0.99
    config.dataset.name = "digits"
    config.dataset.train = "all[:80%]"
    config.dataset.validation = "all[80%:90%]"
    config.dataset.test = "all[90%:]"
    config.dataset.flip = False
    config.model.event_shape = (8, 8, 1)
    config.model.levels = 17
    config.model.num_scales = 2
    config.model.base_features = 32
    config.model.num_blocks = 2
    config.checkpoint.every = 250
    config.evaluate.every = 100
    config.evaluate.log_every = 50
    return config
