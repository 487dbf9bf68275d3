"""20x20 black-and-white images of rectangles, discs and triangles by an autoregressive flow with a PixelCNN."""

from configs import shapes


def get_config():
    """The network sees most of the image: 9 pixels up and to the sides."""
    config = shapes.get_config()
    config.num_steps = 4000
    config.batch_size = 32
    config.learning_rate = 2e-3
    config.schedule.warmup_steps = 200
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 100.0
    config.model.name = "pixelcnn_flow"
    config.model.base_features = 32
    config.model.num_blocks = 4
    config.model.kernel_size = 5
    return config
