"""Glow (Kingma and Dhariwal, 2018) on CIFAR-10. Published: 3.35 bits/dim. Ours: not run yet.

The authors' three scales of 32 steps with 512 features, and their optimizer. Ours differs by the logit of the pixels,
by flips instead of shifts, by a cosine to zero, and by batches of 64 on one device.
"""

from realnvp_jax.configs import default


def get_config():
    """Glow's steps and its three convolutions."""
    config = default.get_config()
    config.num_steps = 200_000
    config.learning_rate = 1e-3
    config.optimizer.name = "adamax"
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 3000.0
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 7000
    config.init_examples = 256
    config.ema_decay = 0.999
    config.dtype = "bfloat16"
    config.model.name = "glow_flow"
    config.model.num_scales = 3
    config.model.num_steps = 32
    config.model.conditioner = "three_convolutions"
    config.model.base_features = 512
    config.model.scale_function = "sigmoid"
    return config
