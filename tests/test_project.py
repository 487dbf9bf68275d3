"""The files around the code agree with it: versions, workflows, templates."""

import re
import tomllib

import pytest
import yaml

import realnvp_jax
from tests.helpers import ROOT

YAML = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_files_of_settings_can_be_read(path):
    assert yaml.safe_load(path.read_text())


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    (changes,) = re.findall(r"\A# Changelog\n\n## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text())
    assert citation["version"] == changes == realnvp_jax.__version__


def test_the_oldest_versions_are_the_same_everywhere():
    jax = next(name for name in PROJECT["dependencies"] if name.startswith("jax>=")).removeprefix("jax>=")
    python = PROJECT["requires-python"].removeprefix(">=")
    matrix = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["strategy"]["matrix"]
    assert {"python": python, "jax": f"jax=={jax} jaxlib=={jax}"} in matrix["include"]
    for page in ("README.md", "CONTRIBUTING.md"):
        assert f"JAX {jax} or newer" in (text := (ROOT / page).read_text()) or f"JAX must be {jax} or newer" in text


def test_the_site_has_one_command():
    command = "pip install -e '.[docs]' && sphinx-build -W -c docs . site"
    for path in ("README.md", "CONTRIBUTING.md", "docs/README.md", ".github/workflows/ci.yml"):
        assert command in (ROOT / path).read_text(), path
