import itertools
import os
import signal
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # commands that are called within a test would use the user's

import jax
import jaxtyping
import numpy as np
import pytest
from jaxtyping import install_import_hook
from PIL import Image

signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores both signals
signal.signal(signal.SIGHUP, signal.SIG_DFL)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)  # tests compile more than they compute
if jax.__version_info__ < (
    0,
    11,
):  # half the compile time on two cores; later versions of XLA do not know the first flag
    flags = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    os.environ["XLA_FLAGS"] = f"{flags} {os.environ.get('XLA_FLAGS', '')}"

with install_import_hook("realnvp_jax", "beartype.beartype"):
    import realnvp_jax.interop.authors
    import realnvp_jax.models.create  # noqa: F401
    from realnvp_jax import registry


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_of_one_module():
    """Thousands of compiled programs in a process need more mappings of memory than Linux allows."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _parts_that_a_test_registers_are_its_own(monkeypatch):
    monkeypatch.setattr(registry, "_parts", {kind: dict(parts) for kind, parts in registry._parts.items()})


@pytest.fixture
def only_shipped_parts():
    """Without the parts of the examples, which other tests import."""
    for parts in registry._parts.values():
        for name in [name for name, part in parts.items() if not part.__module__.startswith("realnvp_jax.")]:
            del parts[name]


@pytest.fixture
def without_type_checks():
    """Annotations are not checked, as for users."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def optimized():
    """Programs are compiled as they are for users, for tests that compute more than they compile."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def x64():
    """Double precision within a test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def folder(tmp_path) -> Path:
    """Fourteen pictures of several sizes and formats, one hidden, and other files."""
    from tests.data.images.helpers import pixels

    root = tmp_path / "pictures"
    (root / "more" / "deep").mkdir(parents=True)
    names = [
        f"{place}{i}.{suffix}"
        for i, (suffix, place) in enumerate(
            itertools.product(["png", "jpg", "JPEG", "webp", "bmp", "tif", "TIFF"], ["", "more/deep/"])
        )
    ]
    for i, name in enumerate(names):
        Image.fromarray(pixels(10 + i, 24 - i, 3, seed=i)).save(root / name)
    (root / ".hidden.png").write_bytes(b"")
    (root / "more" / "readme.txt").write_text("no picture")
    return root


@pytest.fixture
def three_splits(tmp_path) -> str:
    """Arrays of two splits, with copies of images in both."""
    from tests.data.images.helpers import pixels

    train = pixels(20, 5, 4, 3, levels=100)
    test = pixels(10, 5, 4, 3, seed=1)
    train[3], test[2], test[5] = train[0], train[1], train[1]
    np.savez(tmp_path / "x.npz", test=test, train=train)
    return str(tmp_path / "x.npz")
