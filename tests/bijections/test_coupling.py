"""Couplings and their identity halves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.bijections.coupling import Coupling
from tests.helpers import ZOO, build, slow_but

COUPLINGS = [name for name in ZOO if name.endswith(("coupling 0", "coupling 1"))]
QUICK = ("checkerboard coupling 0", "channel coupling 1", "additive coupling 0", "vector coupling 0")


@pytest.mark.parametrize("name", slow_but(QUICK, COUPLINGS))
def test_couplings_leave_the_identity_half_alone_and_see_nothing_else(name, x64):
    coupling, variables, x, _ = build(name)
    assert isinstance(coupling, Coupling)
    identity, transformed = coupling.mask.split(x)
    forward = jax.jit(lambda x: coupling.apply(variables, x, method="forward"))
    z, log_det = forward(x)
    np.testing.assert_array_equal(coupling.mask.split(z)[0], identity)
    # log_scale depends on the identity half only, so a change of the transformed half cannot change log_det
    moved = coupling.mask.merge(identity, transformed + 1)
    np.testing.assert_array_equal(forward(moved)[1], log_det)

    # and neither does shift: every element of the transformed half depends on itself alone
    def transformed_half(flat):
        z, _ = forward(coupling.mask.merge(identity[:1], flat.reshape(transformed[:1].shape)))
        return coupling.mask.only_transformed(coupling.mask.split(z)[1]).ravel()

    jacobian = np.asarray(jax.jacfwd(transformed_half)(transformed[0].ravel()))
    np.testing.assert_array_equal(jacobian, np.diag(np.diag(jacobian)))
    active = coupling.mask.only_transformed(jnp.ones_like(transformed[:1])).ravel()
    np.testing.assert_array_equal(np.diag(jacobian) > 0, active == 1)
