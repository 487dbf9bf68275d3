import pytest

from realnvp_jax.analysis import latents


@pytest.fixture
def small_batches(monkeypatch):
    """Four at a time, so that there are several batches, and few shapes to compile for."""
    monkeypatch.setattr(latents, "_BATCH_SIZE", 4)
