"""MNIST by a small model, for a CPU. Expected: 1.44 bits/dim on the test set (results/mnist_small)."""

from realnvp_jax.configs import mnist


def get_config():
    """Three scales of 16 features and two residual blocks, a learning rate that falls to zero, averaged weights."""
    config = mnist.get_config()
    config.num_steps = 9000
    config.batch_size = 16
    config.learning_rate = 2e-3
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 200
    config.ema_decay = 0.999
    config.model.base_features = 16
    config.model.num_blocks = 2
    config.checkpoint.every = 1000
    config.evaluate.every = 3000
    return config
