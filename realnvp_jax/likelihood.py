"""From log-densities to the reported numbers.

With log_prob in nats, as a density over pixel units, the bits per dimension of discrete data are
-log_prob / (D log 2), with no further constants: uniform pixels under a uniform density give exactly log2(levels).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def bits_per_dim(log_prob: Float[Array, "..."], num_dims: int) -> Float[Array, "..."]:
    """-log_prob / (D log 2), for log_prob in nats with respect to pixel units."""
    return -log_prob / (num_dims * np.log(2))


def log_prob_of_bits(bits: Float[Array, "..."], num_dims: int) -> Float[Array, "..."]:
    """Inverse of `bits_per_dim`."""
    return -bits * (num_dims * np.log(2))


def log_mean_exp(log_prob: Float[Array, "k *batch"]) -> Float[Array, "*batch"]:
    """Log (1/K) sum_k exp(log_prob_k): the K-sample importance-weighted bound of Burda et al. (2016)."""
    return jax.nn.logsumexp(log_prob, axis=0) - jnp.log(log_prob.shape[0]).astype(log_prob.dtype)


def mean_and_standard_error(values: np.ndarray) -> tuple[float, float | None]:
    """Mean and standard error of the mean, in float64; the error of a single value is None."""
    values = np.asarray(values, dtype=np.float64)
    if values.size < 2:
        return float(values.mean()), None
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size))
