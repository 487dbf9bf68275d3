"""MNIST by a small flow that squeezes first, with mixtures of logistics and variational dequantization.

Expected: 1.06 bits/dim on the test set (results/mnist_glow), after about an hour on two CPU cores.
"""

from realnvp_jax.configs import default


def get_config():
    """Two scales of six steps, trained by Muon with a learning rate that falls to zero."""
    config = default.get_config()
    config.num_steps = 15000
    config.batch_size = 32
    config.init_examples = 256
    config.learning_rate = 1e-2
    config.optimizer.name = "muon"
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 3000.0
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 200
    config.ema_decay = 0.99
    config.dataset.name = "mnist"
    config.dataset.train = "train[:59000]"
    config.dataset.validation = "train[59000:]"
    config.dataset.flip = False
    config.model.name = "glow_flow"
    config.model.event_shape = (28, 28, 1)
    config.model.num_scales = 2
    config.model.num_steps = 6
    config.model.conditioner = "gated_dense"
    config.model.base_features = 24
    config.model.num_blocks = 2
    config.model.transform = "mixture_affine"
    config.model.num_logistics = 4
    config.model.dequantizer = "variational"
    config.model.noise_features = 16
    config.model.noise_blocks = 1
    config.checkpoint.every = 500
    config.evaluate.every = 1500
    return config
