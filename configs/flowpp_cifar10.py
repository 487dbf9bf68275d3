"""Flow++'s ingredients (Ho et al., 2019) on CIFAR-10. Published: 3.08 bits/dim. Ours: not run yet.

Mixtures of 32 logistics, gated convolutions with attention and dropout, variational dequantization, and the authors'
optimizer. The architecture is not theirs: it is `glow_flow`, which factors out half of the channels between its scales,
with dense connections in place of residual ones.
"""

from realnvp_jax.configs import default


def get_config():
    """Few couplings with large networks, by checkerboard and by channels in turn."""
    config = default.get_config()
    config.num_steps = 300_000
    config.learning_rate = 3e-4
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 2000.0
    config.schedule.warmup_steps = 2000
    config.init_examples = 128
    config.ema_decay = 0.999
    config.dtype = "bfloat16"
    config.dataset.flip = False
    config.model.name = "glow_flow"
    config.model.num_steps = 4
    config.model.masks = "both"
    config.model.conditioner = "gated_dense"
    config.model.base_features = 96
    config.model.num_blocks = 10
    config.model.attention_heads = 4
    config.model.dropout = 0.2
    config.model.transform = "mixture_affine"
    config.model.num_logistics = 32
    config.model.dequantizer = "variational"
    config.evaluate.num_importance_samples = 16
    return config
