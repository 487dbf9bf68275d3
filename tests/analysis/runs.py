"""Untrained runs of images and vectors."""

import dataclasses
import functools
from pathlib import Path

import jax
import numpy as np

import realnvp_jax
from configs import default, digits, table, toy2d
from realnvp_jax.analysis.run import Run
from tests.helpers import perturb


def pixels(*shape: int, seed: int = 0, levels: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def points(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def run_of(config) -> Run:
    """An untrained run without parameters, evaluated with 7 examples at a time."""
    config.evaluate.batch_size = 7
    return Run(Path("nowhere"), config, realnvp_jax.create(config), {}, 1, False)


def of_images(shape=(4, 4, 3), levels=256, make=default.get_config, **dataset) -> Run:
    config = make()
    config.model.update(event_shape=shape, levels=levels, num_scales=1, base_features=2, num_blocks=1)
    config.model.normalization = "batch_norm" if shape == (4, 4, 3) else "none"
    config.dataset.update(dataset)
    return run_of(config)


def of_vectors(columns: int, context: str = "") -> Run:
    config = table.get_config() if context else toy2d.get_config()
    config.model.update(event_shape=(columns,), num_layers=2, hidden=(4,), transform="affine", masks="halves")
    config.dataset.context = context
    return run_of(config)


@functools.cache
def parameters(flow):
    """Random ones, the same for equal flows."""

    def start(path, leaf):
        return np.full(leaf.shape, float("variance" in jax.tree_util.keystr(path)), leaf.dtype)

    params = jax.tree_util.tree_map_with_path(start, jax.eval_shape(flow.init, jax.random.key(0)))
    return perturb(params, jax.random.key(1))


def with_parameters(run: Run) -> Run:
    return dataclasses.replace(run, params=parameters(run.flow))


RGB = functools.cache(of_images)
GREY = functools.cache(lambda: of_images((8, 8, 1), 17, digits.get_config))
PLANE = functools.cache(lambda: with_parameters(of_vectors(2)))
CONDITIONAL = functools.cache(lambda: with_parameters(of_vectors(2, "age, height")))
