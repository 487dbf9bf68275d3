"""Neural spline flows (Durkan et al., 2019) on CIFAR-10, by coupling. Published: 3.38 bits/dim. Ours: not run yet.

Rational-quadratic splines in Glow's architecture, and a cosine to zero. The width of the residual networks doubles from
scale to scale, and starts such that there are about as many parameters as in the authors' model, 12 million.
"""

from realnvp_jax.configs import default


def get_config():
    """Three scales of seven steps with four bins."""
    config = default.get_config()
    config.num_steps = 200_000
    config.batch_size = 512
    config.learning_rate = 5e-4
    config.optimizer.l2 = 0.0
    config.schedule.name = "cosine"
    config.dtype = "bfloat16"
    config.model.name = "glow_flow"
    config.model.num_scales = 3
    config.model.num_steps = 7
    config.model.base_features = 36
    config.model.num_blocks = 3
    config.model.transform = "spline"
    config.model.num_bins = 4
    return config
