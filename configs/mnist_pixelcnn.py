"""MNIST by an autoregressive flow with a PixelCNN. Not run in full yet; FFJORD's paper reports 1.06 for RealNVP."""

from realnvp_jax.configs import mnist


def get_config():
    """The same splits as `mnist`."""
    config = mnist.get_config()
    config.num_steps = 40_000
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 500
    config.ema_decay = 0.999
    config.optimizer.l2 = 0.0
    config.model.name = "pixelcnn_flow"
    config.model.base_features = 64
    config.model.num_blocks = 6
    config.model.kernel_size = 5
    return config
