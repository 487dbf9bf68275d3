"""Points on the plane by an autoregressive flow: --config=configs/toy2d_ar.py:NAME, as in configs/toy2d.py."""

from configs import toy2d


def get_config(name: str = "moons"):
    """A mixture of 12 Gaussians an element, whose CDF is uniform on the square."""
    config = toy2d.get_config(name)
    config.num_steps = 8000
    config.model.name = "autoregressive_flow"
    config.model.num_components = 12
    config.model.order = "natural"
    config.model.hidden = (64, 64)
    return config
