import numpy as np
import pytest

from realnvp_jax.data.vectors.table_files import Table
from tests.data.vectors.helpers import table_of


@pytest.fixture
def table() -> Table:
    values = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    return table_of(("a", "b c", "d,e"), values)
