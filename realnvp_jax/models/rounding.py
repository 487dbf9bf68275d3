"""Is a flow inverted exactly enough in floating point? The bounds above which its users are warned.

Every layer rounds its output, and the layers after it, or its inverse, amplify that by their slopes. A flow whose
slopes multiply to 10^6 loses six of float32's seven digits: its densities and samples are finite and meaningless. No
arithmetic can recover what a rounded value does not hold, but double precision (`jax.enable_x64`) holds twice as much.
"""

import warnings

import jax
import jax.numpy as jnp
from jax.core import Tracer

LARGEST_ROUND_TRIP_ERROR = 0.01  # of x -> z -> x: pixel values, or standard deviations of a column
LARGEST_LOG_PROB_ERROR = 0.1  # nats between a sample's log_prob by the inverse and by the forward pass

ADVICE = (
    "its layers amplify rounding errors: use double precision (jax.enable_x64), or train with a lower learning rate, "
    "or with regularization"
)


class RoundingWarning(UserWarning):
    """Rounding errors exceed a bound."""


def check_log_prob(by_inverse: jax.Array, by_forward: jax.Array) -> None:
    """Warn if log-densities of samples that two passes computed differ by more than LARGEST_LOG_PROB_ERROR.

    Args:
      by_inverse: [n], from the inverse pass that made the samples.
      by_forward: [n], of the same samples, from a forward pass.

    Raises:
      ValueError: the values are not known, under a JAX transformation.
    """
    if isinstance(by_inverse, Tracer) or isinstance(by_forward, Tracer):
        raise ValueError(
            "expected check=False under a JAX transformation, where values are unknown; got check=True: compare with "
            "log_prob(params, x) yourself"
        )
    if not by_inverse.size:
        return
    error = float(jax.device_get(_largest_difference(by_inverse, by_forward)))
    if not error <= LARGEST_LOG_PROB_ERROR:
        warnings.warn(
            f"the log_prob of a sample is inexact by up to {error:.3g} nats, where {LARGEST_LOG_PROB_ERROR} is the "
            f"bound: {ADVICE}",
            RoundingWarning,
            stacklevel=3,
        )


@jax.jit
def _largest_difference(a: jax.Array, b: jax.Array) -> jax.Array:
    """The largest |a - b|, in which equal infinities do not differ; NaN if one is NaN."""
    return jnp.max(jnp.where(a == b, 0, jnp.abs(a - b)))
