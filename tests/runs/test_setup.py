"""What is made of a config before a run."""

import numpy as np
import pytest

from configs import table
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.runs.setup import noise_scale


def test_noise_has_the_deviations_of_columns_that_are_far_from_0():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((200_000, 2)) * [100, 1] + [2e5, 0]).astype(np.float32)
    config = table.get_config()
    config.dataset.noise = 0.1
    splits = Splits(Examples(x), Examples(x[:1]), Examples(x[:1]), columns=("a", "b"), all_columns=("a", "b"))
    assert noise_scale(config, splits) == pytest.approx([10, 0.1], rel=0.01)
