"""The recipes of docs/recipes.md run as they stand, with the flow that they share."""

import ast
import importlib.util
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.helpers import ROOT

INTRODUCTION, *SECTIONS = (ROOT / "docs" / "recipes.md").read_text().split("\n## ")
RECIPES = {
    section.partition("\n")[0]: blocks
    for section in SECTIONS
    if (blocks := re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
}
LIBRARIES = ("NumPyro", "BlackJAX", "Distrax", "Flax NNX", "scikit-learn")


def libraries(block):
    """The top-level packages that a block imports."""
    nodes = list(ast.walk(ast.parse(block)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


@pytest.fixture(scope="module")
def shared():
    """The names that the first block of the page defines."""
    (block,) = re.findall(r"^```python\n(.*?)^```", INTRODUCTION, re.MULTILINE | re.DOTALL)
    names = {}
    exec(block, names)
    return names


@pytest.fixture
def namespace(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with jax.numpy_rank_promotion("allow"):
        yield dict(request.getfixturevalue("shared"))


@pytest.mark.slow
@pytest.mark.usefixtures("optimized", "without_type_checks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorflow_probability")
@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_runs(title, namespace):
    for block in RECIPES[title]:
        missing = [name for name in libraries(block) if importlib.util.find_spec(name) is None]
        if missing:
            pytest.skip(f"{missing[0]} is not installed")
        exec(compile(block, title, "exec"), namespace)
    if "posterior_mean" in namespace:  # BlackJAX: NUTS, and importance sampling
        np.testing.assert_allclose(namespace["positions"].mean(0), namespace["posterior_mean"], atol=0.2)
    if "is_anomaly" in namespace:
        np.testing.assert_array_equal(namespace["is_anomaly"], [False, True])
    for name, value in namespace.items():
        if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating):
            assert jnp.isfinite(value).all(), name


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_recipe_of_a_library_has_at_most_twenty_lines(library):
    (blocks,) = (blocks for title, blocks in RECIPES.items() if title.startswith(library))
    assert max(len(block.splitlines()) for block in blocks) <= 20
