import jax
import pytest

import realnvp_jax
from realnvp_jax.data.vectors.toy import sample_toy
from tests.helpers import perturb, small


@pytest.fixture(autouse=True)
def _other_libraries_rely_on_rank_promotion():
    with jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def flow():
    return small("vector_flow")


@pytest.fixture(scope="module")
def params(flow):
    return perturb(flow.init(jax.random.key(0)), jax.random.key(1))


@pytest.fixture(scope="module")
def conditional():
    """(flow, parameters, contexts of batch shape (2,))."""
    flow = small("vector_flow", context=2)
    return flow, perturb(flow.init(jax.random.key(0)), jax.random.key(1)), jax.random.normal(jax.random.key(2), (2, 2))


@pytest.fixture(scope="module")
def moons():
    """(flow, parameters) trained on two moons."""
    points = sample_toy("moons", 10_000, seed=0)
    flow = realnvp_jax.vector_flow(2, num_layers=6, hidden=(64, 64))
    params = flow.init(jax.random.key(0), points)
    params = realnvp_jax.fit(flow, params, points, jax.random.key(1), num_steps=1000, batch_size=512, progress=False)
    return flow, params
