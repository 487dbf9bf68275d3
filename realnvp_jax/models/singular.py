"""Matrices of a flow that have become singular, so that its density is zero everywhere and it has no inverse."""

from typing import Any

import flax.traverse_util
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models.declared import invertible_matrices
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.text import shorten


def check_invertible(flow: Flow, params: Params, advice: str) -> None:
    """Raise ValueError, with this advice, if one of a flow's matrices is singular in its precision."""
    name = singular_matrix(flow, params)
    if name is not None:
        raise ValueError(f"expected invertible matrices; got a singular one, {shorten(name, 150)}: {advice}")


def singular_matrix(flow: Flow, params: Params) -> str | None:
    """The name of the first singular matrix, with its number if a loop over layers has several; None if there is none.

    Matrices with NaN or infinite entries are not looked at.
    """
    leaves: dict[str, Any] = flax.traverse_util.flatten_dict(dict(params["params"]), sep="/")
    for path in sorted(invertible_matrices(flow) & leaves.keys()):
        matrices = np.asarray(leaves[path])
        smallest = float(jnp.finfo(matrices.dtype).eps) * matrices.shape[-1]  # in units of the largest singular value
        matrices = matrices.astype(np.float64)
        for index in np.ndindex(matrices.shape[:-2]):
            if not np.isfinite(matrices[index]).all():
                continue
            sizes = np.linalg.svd(matrices[index], compute_uv=False)
            if sizes[-1] <= smallest * sizes[0]:
                return f"params/{path}{list(index) if index else ''}"
    return None
