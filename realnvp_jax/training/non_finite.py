"""Why a loss is not finite: the parameters, the batch, a singular matrix, the density, or the step size."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.singular import singular_matrix
from realnvp_jax.text import shorten
from realnvp_jax.training.fit_data import check_draws
from realnvp_jax.training.steps import Batch


def check_finite_params(params: Params) -> None:
    """Raise ValueError if a parameter or statistic is NaN or infinite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not np.isfinite(np.asarray(leaf).astype(np.float64)).all():
            name = "/".join(str(getattr(key, "key", key)) for key in path)
            raise ValueError(
                f"expected finite parameters; got NaN or infinite ones in {name!r}: start from other parameters"
            )


def reason(
    flow: Flow,
    params: Params,
    batch: Batch,
    current: Params,
    which: str = "the parameters that fit was given",
    advice: str = "try a lower learning_rate",
) -> str:
    """Why the loss of a batch is not finite, and what to do about it.

    Args:
      flow: the flow.
      params: finite parameters, from the start of the training or from before the loss.
      batch: the batch of the first loss that is not finite.
      current: the parameters after the loss, which may not be finite.
      which: what these parameters are called in the message.
      advice: what to do if the training has diverged.
    """
    try:
        check_draws(flow, batch, "examples of its batch")
    except (TypeError, ValueError) as error:
        return str(error)
    narrow = _narrow_dtype(params)
    if narrow is not None:
        return (
            f"the parameters are {narrow}, whose largest number is {float(jnp.finfo(narrow).max):.1e}: convert them, "
            "jax.tree.map(lambda leaf: leaf.astype('float32'), params)"
        )
    singular = singular_matrix(flow, current)
    if singular is not None:
        return f"the matrix {shorten(singular, 150)} has become singular, which makes every density 0: {advice}"
    if jnp.issubdtype(batch["x"].dtype, jnp.floating):
        log_prob = np.asarray(flow.log_prob(params, batch["x"], batch.get("context")))
        bad = ~np.isfinite(log_prob)
        if bad.any():
            return (
                f"{bad.sum()} of {len(bad)} examples of its batch have no finite density under {which}, "
                f"the first in row {np.argmax(bad)}: initialize with flow.init(key, x), or drop outliers"
            )
    return f"the examples of its batch are finite, so the parameters have diverged: {advice}"


def _narrow_dtype(params: Any) -> str | None:
    """The first dtype of the parameters with fewer bits than float32, or None."""
    dtypes = (jnp.asarray(leaf).dtype for leaf in jax.tree.leaves(params))
    return next((dtype.name for dtype in dtypes if dtype.itemsize < 4), None)
