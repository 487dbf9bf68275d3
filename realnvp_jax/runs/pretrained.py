"""Trained flows that ship with the package: digits, and distributions of points on the plane."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from realnvp_jax.models.flow import Flow
from realnvp_jax.runs.saved_flow import load_saved
from realnvp_jax.text import shorten

FOLDER = Path(__file__).parents[1] / "pretrained"


def pretrained_flows() -> dict[str, dict[str, Any]]:
    """Name -> test result (mean, standard_error, unit, num_examples) of every flow that ships with the package.

    The result of digits was computed before its kernels were rounded to bfloat16, which changes it by less than 0.001.
    """
    return dict(json.loads((FOLDER / "results.json").read_text(encoding="utf-8")))


def load_pretrained(name: str) -> tuple[Flow, dict[str, Any]]:
    """Load a trained flow that ships with the package; nothing is downloaded. All parameters are float32.

    Args:
      name: "digits" (8x8 images of handwritten digits with 17 levels, from scikit-learn), or the name of a toy data set
        of points on the plane, such as "moons".

    Returns:
      (flow, params).

    Raises:
      ValueError: there is no such flow.

    Example:
      >>> import jax, realnvp_jax
      >>> flow, params = realnvp_jax.load_pretrained("moons")
      >>> flow.sample(params, jax.random.key(0), (10,)).shape
      (10, 2)
    """
    names = tuple(pretrained_flows())
    if name not in names:
        raise ValueError(f"expected one of {', '.join(names)}; got {shorten(name)}")
    flow, params = load_saved(FOLDER / name)
    return flow, jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
