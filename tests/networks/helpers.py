"""Jacobians that show which inputs a network sees."""

import jax
import numpy as np

from tests.helpers import perturb

KEY = jax.random.key(0)


def jacobian_and_log_det(bijection, variables, x, context=None):
    """d z / d x of the flattened first event, and its log_det."""

    def flat(event):
        z, log_det = bijection.apply(variables, event.reshape(1, *x.shape[1:]), context, method="forward")
        return z.ravel(), log_det[0]

    jacobian, log_det = jax.jit(jax.jacrev(flat, has_aux=True))(x[0].ravel())
    return np.asarray(jacobian), log_det


def fresh(bijection, x, context=None):
    """Perturbed variables."""
    return perturb(jax.jit(lambda key: bijection.init(key, x, context, method="forward"))(KEY), KEY)


def assert_exactly_triangular(jacobian, sequence, log_det):
    jacobian = jacobian[np.ix_(sequence, sequence)]
    above = jacobian[np.triu_indices(len(sequence), 1)]
    np.testing.assert_array_equal(above, 0.0)
    np.testing.assert_allclose(np.log(np.diag(jacobian)).sum(), log_det, atol=1e-9)
