"""Small flows of all kinds, whose latents are interpolated."""

import functools
import re

import jax
import numpy as np
import pytest

from realnvp_jax import Chain, Flow, Uniform, autoregressive_flow, image_flow, pixelcnn_flow, vector_flow
from tests.helpers import perturb

IMAGES = image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1, levels=17)
THREE_SCALES = image_flow((8, 4, 2), num_scales=3, base_features=2, num_blocks=1, levels=4)
CONDITIONAL = image_flow((2, 2, 1), num_scales=1, base_features=2, num_blocks=1, levels=4, context=3)
PIXELCNN = pixelcnn_flow((2, 2, 1), levels=4, num_components=2, features=4, num_blocks=1)
VECTORS = vector_flow(2, num_layers=2, hidden=(8,))
AUTOREGRESSIVE = autoregressive_flow(2, num_components=2, hidden=(8,))
IDENTITY = Flow((3,), Chain())  # whose latents are its data
UNIT_SQUARE = Flow((2,), Chain(), base=Uniform())
NOTHING = {"params": {}, "batch_stats": {}}


@functools.cache
def params_of(flow: Flow):
    if flow.levels is None:
        return perturb(flow.init(jax.random.key(0)), jax.random.key(1), size=0.1)
    shapes = jax.eval_shape(flow.init, jax.random.key(0))  # not compiled
    constant = jax.tree_util.tree_map_with_path(
        lambda path, leaf: np.full(leaf.shape, float("variance" in jax.tree_util.keystr(path)), leaf.dtype), shapes
    )
    return perturb(constant, jax.random.key(1), size=0.1)


def pixels_of(flow: Flow, n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, flow.levels, (n, *flow.event_shape)).astype(np.uint8)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def refused(error, message, call, *args, **kwargs):
    with pytest.raises(error, match=re.escape(message)) as raised:
        call(*args, **kwargs)
    assert str(raised.value).startswith("expected ")
    assert len(str(raised.value)) <= 400
