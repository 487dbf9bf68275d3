import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # commands that are called within a test would use the user's

import jax
import pytest
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # tests compile more than they compute

with install_import_hook("realnvp_jax", "beartype.beartype"):
    import realnvp_jax  # noqa: F401


@pytest.fixture
def x64():
    """Double precision within a test."""
    with jax.enable_x64(True):
        yield
