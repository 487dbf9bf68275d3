"""scikit-learn's handwritten digits by an autoregressive flow with a PixelCNN."""

from configs import digits


def get_config():
    """The same splits as configs/digits.py."""
    config = digits.get_config()
    config.num_steps = 3000
    config.batch_size = 32
    config.learning_rate = 2e-3
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 100
    config.optimizer.l2 = 0.0
    config.model.name = "pixelcnn_flow"
    config.model.base_features = 32
    config.model.num_blocks = 3
    config.model.kernel_size = 3
    return config
