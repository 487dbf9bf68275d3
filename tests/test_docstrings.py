"""What docstrings promise: their examples run, and every public name says what a caller has to know."""

import doctest
import inspect
import re

import jax
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.interop import distrax, numpyro
from realnvp_jax.models.nnx_module import FlowModule
from tests.helpers import ROOT

PUBLIC = {
    **{name: getattr(realnvp_jax, name) for name in realnvp_jax.__all__},
    **{f"interop.{name}": getattr(realnvp_jax.interop, name) for name in realnvp_jax.interop.__all__},
    "interop.distrax.FlowDistribution": distrax.FlowDistribution,
    "interop.distrax.FlowBijector": distrax.FlowBijector,
    "interop.numpyro.FlowDistribution": numpyro.FlowDistribution,
    "interop.numpyro.FlowTransform": numpyro.FlowTransform,
    "models.nnx_module.FlowModule": FlowModule,
}
CALLABLES = {name: value for name, value in PUBLIC.items() if inspect.isfunction(value)} | {
    f"{name}.{method}": function
    for name, value in PUBLIC.items()
    if inspect.isclass(value)
    for method, function in vars(value).items()
    if inspect.isfunction(function) and (method == "__call__" or not method.startswith("_"))
}
DOCSTRINGS = {name: inspect.getdoc(value) or "" for name, value in {**PUBLIC, **CALLABLES}.items()}
WITH_EXAMPLES = [name for name, text in DOCSTRINGS.items() if ">>>" in text]
SHAPE = re.compile(r"\[\W*(n|k|batch|batch_shape|event)\b[^\]]*\]|\(\*batch|any shape")
DENSITY = re.compile(r"(log_prob|log_density|bits_per_dim|score|score_samples)(_train)?$")
UNIT = re.compile(r"\bnats\b|[Bb]its per dim")


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name):
    example = doctest.DocTestParser().get_doctest(DOCSTRINGS[name], {}, name, None, 0)
    printed = []
    assert doctest.DocTestRunner().run(example, out=printed.append).failed == 0, "".join(printed)


def test_every_flow_has_an_example():
    factories = {name for name in PUBLIC if name.endswith("_flow")}
    assert factories - {"pixelcnn_flow"} <= set(WITH_EXAMPLES)  # which would take minutes to compile
    assert {"fit", "save", "FlowDensity"} <= set(WITH_EXAMPLES)


def test_every_public_name_has_a_docstring():
    assert [name for name, text in DOCSTRINGS.items() if not text.strip()] == []


def test_functions_and_flows_name_their_errors():
    check_nothing = {"draw_each", "parameter", "pretrained_flows", "Flow.to_nnx"}
    own = [name for name in CALLABLES if "." not in name or name.startswith(("Flow.", "FlowDensity.", "interop.from"))]
    assert [name for name in own if "Raises:\n" not in DOCSTRINGS[name] and name not in check_nothing] == []
    assert [name for name in check_nothing if "raise " in inspect.getsource(CALLABLES[name])] == []


def test_shapes_of_arrays_are_named():
    """By the annotation, as in Float[Array, "n *event"], or by the docstring of the function, or of the class."""
    unnamed = []
    for name, function in CALLABLES.items():
        owner = DOCSTRINGS.get(name.rpartition(".")[0], "")
        hints = {key: value.annotation for key, value in inspect.signature(function).parameters.items() if key != "key"}
        bare = [key for key, hint in hints.items() if hint in (jax.Array, np.ndarray) or "_SupportsArray" in str(hint)]
        if bare and not SHAPE.search(DOCSTRINGS[name] + owner):
            unnamed.append((name, bare))
    assert unnamed == []


def test_densities_have_units():
    densities = [name for name in CALLABLES if DENSITY.search(name)]
    assert len(densities) > 15
    assert [name for name in densities if not UNIT.search(DOCSTRINGS[name])] == []


def test_the_reference_has_every_public_name_once():
    pages = "".join(page.read_text() for page in sorted((ROOT / "docs" / "api").glob("*.md")))
    listed = re.findall(r"^\.\. auto(?:class|function|exception):: (?:realnvp_jax\.)?([\w.]+)$", pages, re.MULTILINE)
    listed += re.findall(r"^\.\. data:: (\w+)$", pages, re.MULTILINE)
    assert sorted(listed) == sorted(set(PUBLIC) - {"interop"})
