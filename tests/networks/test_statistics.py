"""Statistics that normalize."""

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax import vector_flow
from realnvp_jax.mode import TRAIN
from realnvp_jax.networks.statistics import BatchNorm
from tests.models.helpers import pairs_of

KEY = jax.random.key(0)


def test_batch_norm_on_a_running_average(x64):
    lag = 0.75
    module = BatchNorm(batch_norm_lag=lag)
    x = 2 + 3 * jax.random.normal(KEY, (64, 2))
    variables = {"batch_stats": {"mean": jnp.array([1.0, -1.0]), "variance": jnp.array([4.0, 9.0])}}
    (mean, log_std), updated = module.apply(variables, x, None, TRAIN, mutable=["batch_stats"])
    variance = jnp.exp(2 * log_std) - module.epsilon
    np.testing.assert_allclose(mean[0], lag * variables["batch_stats"]["mean"] + (1 - lag) * x.mean(0))
    np.testing.assert_allclose(variance[0], lag * variables["batch_stats"]["variance"] + (1 - lag) * x.var(0))
    np.testing.assert_allclose(updated["batch_stats"]["mean"], mean[0])
    np.testing.assert_allclose(updated["batch_stats"]["variance"], variance[0])
    gradient = jax.grad(lambda x: module.apply(variables, x, None, TRAIN, mutable=["batch_stats"])[0][0].sum())(x)
    np.testing.assert_allclose(gradient, (1 - lag) / 64)
    flow = vector_flow(2, num_layers=2, hidden=(4,), normalization="batch_norm", batch_norm_lag=lag)
    params = flow.init(KEY)
    _, params = flow.log_prob_train(params, x)
    statistics = pairs_of(params, "batch_stats")["layers_0"]["normalization"]["statistics"]
    np.testing.assert_allclose(statistics["mean"][0], (1 - lag) * x[:, 1].mean()[None])
