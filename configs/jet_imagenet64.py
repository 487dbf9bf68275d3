"""Jet's ingredients (Kolesnikov et al., 2024) on downsampled ImageNet, 64x64. Published: 3.72. Ours: not run yet.

Thirty-two couplings with vision transformers of 512 features and two blocks, on one scale, by channels and by
checkerboard in turn, after fixed permutations. The tokens are 2x2 patches of the squeezed image.
"""

from realnvp_jax.configs import imagenet64


def get_config():
    """Transformers in place of convolutions, and no multi-scale architecture."""
    config = imagenet64.get_config()
    config.num_steps = 250_000
    config.batch_size = 1024
    config.learning_rate = 3e-4
    config.optimizer.name = "adamw"
    config.optimizer.beta2 = 0.95
    config.optimizer.weight_decay = 1e-5
    config.optimizer.l2 = 0.0
    config.optimizer.clip_norm = 8000.0
    config.schedule.name = "cosine"
    config.schedule.warmup_steps = 25_000
    config.dtype = "bfloat16"
    config.memory = "remat"
    config.model.name = "glow_flow"
    config.model.num_scales = 1
    config.model.num_steps = 32
    config.model.masks = "both"
    config.model.mixing = "permutation"
    config.model.normalization = "none"
    config.model.conditioner = "vit"
    config.model.vit_features = 512
    config.model.vit_blocks = 2
    config.model.vit_heads = 8
    config.model.vit_patch = 2
    config.model.scale_function = "sigmoid"
    return config
