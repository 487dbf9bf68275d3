"""A small flow of images and its compiled step."""

import functools

import jax
import numpy as np

import realnvp_jax
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step

FLOW = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=4, num_blocks=1, levels=4)


def pixels(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (count, 4, 4, 1)).astype(np.uint8)


@functools.cache
def compiled_step(ema_decay=0.0):
    optimizer = clipped(Adam(), 3e-3)
    state = create_state(FLOW, jax.random.key(0), optimizer, ema_decay)
    return state, jax.jit(functools.partial(train_step, flow=FLOW, optimizer=optimizer, ema_decay=ema_decay))
