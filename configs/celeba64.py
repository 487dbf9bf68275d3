"""The paper's model of CelebA, 64x64. Expected: about 3.02 bits/dim on the test split (the paper).

The aligned images are cropped to rows 40 to 187 and columns 15 to 162 and interpolated as in the authors' code, then
rounded to whole numbers, so that bits/dim refers to discrete pixels. The paper did not round, so its number is not
exactly comparable.
"""

from realnvp_jax.configs import default


def get_config():
    """Five scales, with flips."""
    config = default.get_config()
    config.num_steps = 60_000
    config.dataset.name = "celeb_a"
    config.dataset.crop = "40:188,15:163"
    config.dataset.resample = "interpolate"
    config.dataset.train = "train"
    config.dataset.validation = "validation"
    config.model.event_shape = (64, 64, 3)
    config.model.num_scales = 5
    config.model.base_features = 32
    config.model.num_blocks = 2
    return config
