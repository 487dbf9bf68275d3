"""A tiny model on digits for 40 steps: does everything run? No schedule depends on num_steps."""

from realnvp_jax.configs import digits


def get_config():
    """Digits, made small."""
    config = digits.get_config()
    config.num_steps = 40
    config.batch_size = 32
    config.learning_rate = 1e-3
    config.schedule.warmup_steps = 0
    config.model.num_scales = 1  # 4 couplings instead of 10 compile within a minute
    config.model.base_features = 4
    config.model.num_blocks = 1
    config.checkpoint.every = 10
    config.evaluate.every = 20
    config.evaluate.num_samples = 16
    config.evaluate.log_every = 10
    return config
