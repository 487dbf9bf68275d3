"""The paper's CIFAR-10 model with batches of 512 in bfloat16: as many images as cifar10.py, in an eighth of its steps.

The learning rate grows with the square root of the batch size, is warmed up and decays to zero; the parameters are
averaged. Not run yet; the aim is the 3.49 bits/dim of cifar10.py.
"""

from realnvp_jax.configs import default


def get_config():
    """Large batches."""
    config = default.get_config()
    config.num_steps = 10_000
    config.batch_size = 512
    config.learning_rate = 1e-3 * 8**0.5
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 500
    config.ema_decay = 0.999
    config.dtype = "bfloat16"
    config.steps_per_dispatch = 4
    config.checkpoint.every = 500
    config.evaluate.every = 500
    config.evaluate.batch_size = 500
    return config
