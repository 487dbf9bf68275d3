"""Is log_det the log-determinant of the map? It is compared with the autodiff Jacobian of `forward`, in float64.

A round trip does not reveal a wrong log_det: `forward` and `inverse` may be wrong by the same amount, and so is the
density then. The matrix of all partial derivatives, which automatic differentiation gives, is an independent witness.
It takes D reverse passes and D^2 numbers for an example of D dimensions.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow, Params

MOST_DIMS = 1024  # a Jacobian of 8 MB, which a laptop computes in seconds
_ROWS = 32  # computed at a time


def log_det_errors(
    flow: Flow, params: Params, x: np.ndarray, context: np.ndarray | None = None
) -> Float[np.ndarray, " n"]:
    """log_det of `forward` minus log |det| of its Jacobian, for each example, in nats.

    Args:
      flow: a flow of at most MOST_DIMS dimensions.
      params: its parameters.
      x: continuous values inside the flow's support, [n, *event].
      context: what they are conditioned on, [n, context_size].

    Raises:
      ValueError: the flow has more dimensions.
    """
    if flow.num_dims > MOST_DIMS:
        raise ValueError(f"expected a flow of at most {MOST_DIMS} dimensions; got {flow.num_dims}")
    with jax.enable_x64(True):
        variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), dict(params))
        errors = [
            _log_det_error(
                flow,
                variables,
                jnp.asarray(x[i], jnp.float64),
                None if context is None else jnp.asarray(context[i], jnp.float64)[None],
            )
            for i in range(len(x))
        ]
        return np.asarray(errors, np.float64)


@functools.partial(jax.jit, static_argnums=0)
def _log_det_error(flow: Flow, params: Any, x: jax.Array, context: jax.Array | None) -> jax.Array:
    def forward(flat: jax.Array) -> tuple[jax.Array, jax.Array]:
        z, log_det = pure.forward(flow, params, flat.reshape(1, *flow.event_shape), context)
        return z.ravel(), log_det[0]

    _, pull_back, log_det = jax.vjp(forward, x.ravel(), has_aux=True)
    jacobian = jax.lax.map(lambda row: pull_back(row)[0], jnp.eye(flow.num_dims, dtype=x.dtype), batch_size=_ROWS)
    return log_det - jnp.linalg.slogdet(jacobian)[1]
