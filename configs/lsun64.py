"""The paper's model of LSUN, 64x64: realnvp train lsun64:bedroom, or church_outdoor, tower, or another category.

Expected on the validation split (the paper): bedroom 2.72, tower 2.81, church_outdoor 3.08 bits/dim. Pictures are
reduced to a height of 96 and cropped at random, in evaluation too (with a fixed seed), as in the paper; but crops are
taken from the centred 96x96 square, whereas the paper takes them from the whole width. Categories of objects, such as
cat, have no validation split: the last 10,000 training pictures are their test split.
"""

from realnvp_jax.configs import default
from realnvp_jax.data.images.builders import LSUN_SCENES


def get_config(category: str = "bedroom"):
    """Five scales, with flips; 2,000 training pictures choose the best step."""
    config = default.get_config()
    config.num_steps = 60_000
    config.dataset.name = f"lsun/{category}"
    config.dataset.crop = "random"
    config.dataset.resize = 96
    if category in LSUN_SCENES:
        config.dataset.train = "train[:-2000]"
        config.dataset.validation = "train[-2000:]"
        config.dataset.test = "validation"
    else:  # LSUN's object categories have only one split
        config.dataset.train = "train[:-12000]"
        config.dataset.validation = "train[-12000:-10000]"
        config.dataset.test = "train[-10000:]"
    config.model.event_shape = (64, 64, 3)
    config.model.num_scales = 5
    config.model.base_features = 32
    config.model.num_blocks = 2
    return config
