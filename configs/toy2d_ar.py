"""Points on the plane by an autoregressive flow: realnvp train toy2d_ar:NAME, as in `toy2d`.

Expected test log-density, nats per point (the true density): moons -1.009 (-1.007), circles -0.606 (-0.603), smiley
-1.330 (-1.329).
"""

from realnvp_jax.configs import toy2d


def get_config(name: str = "moons"):
    """A mixture of 12 Gaussians for each coordinate maps it to [0, 1]; trains within a minute on two CPU cores."""
    config = toy2d.get_config(name)
    config.num_steps = 8000
    config.model.name = "autoregressive_flow"
    config.model.num_components = 12
    config.model.order = "natural"
    config.model.hidden = (64, 64)
    return config
