"""Points on the plane: realnvp train toy2d:NAME, a name of realnvp_jax.data.vectors.toy, such as moons.

Affine couplings; --config.model.transform=spline --config.model.num_layers=8 selects the stronger transform.

Expected test log-density, nats per point (the true density): moons -1.010 (-1.007), circles -0.65 (-0.603), smiley
-1.342 (-1.329), blobs -2.843, random -0.01 (0).
"""

from realnvp_jax.configs import default


def get_config(name: str = "moons"):
    """A model that two CPU cores train in less than five minutes."""
    config = default.get_config()
    config.num_steps = 12_000
    config.batch_size = 512
    config.learning_rate = 3e-3
    config.schedule.name = "cosine"
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 10.0
    config.init_examples = 10_000
    config.dataset.name = name
    config.dataset.train = "train"
    config.dataset.validation = "validation"
    config.dataset.test = "test"
    config.dataset.flip = False
    config.model.name = "vector_flow"
    config.model.event_shape = (2,)
    config.model.masks = "halves"
    config.model.normalization = "none"
    config.model.num_layers = 16
    config.model.hidden = (64, 64)
    config.model.activation = "silu"  # smoother pictures than relu
    config.checkpoint.every = 2000
    config.evaluate.every = 2000
    config.evaluate.batch_size = 10_000
    config.evaluate.num_samples = 5000
    return config
