"""The names of `realnvp_jax.interop`, which are imported when they are used."""

import subprocess
import sys

import pytest

from realnvp_jax import interop
from realnvp_jax.interop.authors import from_authors


def test_names_are_found():
    assert interop.from_authors is from_authors
    assert {"from_authors", "from_chrischute"} <= set(dir(interop))
    with pytest.raises(AttributeError, match=r"module 'realnvp_jax.interop' has no attribute 'torch'"):
        interop.torch  # noqa: B018


def test_help_works_without_the_libraries():
    code = (
        "import inspect, pydoc, sys\n"
        "sys.modules['numpyro'] = None  # as if it were not installed\n"
        "from realnvp_jax import interop\n"
        "names = {name for name, _ in inspect.getmembers(interop)}\n"
        "assert {'from_authors', 'from_chrischute'} <= names, names\n"
        "assert 'from_authors' in pydoc.render_doc(interop)\n"
        "try:\n"
        "    interop.numpyro\n"
        "except ImportError as error:\n"
        "    assert 'expected NumPyro' in str(error)\n"
        "else:\n"
        "    raise AssertionError('NumPyro was found')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_library_is_imported_before_it_is_used():
    code = (
        "import sys, realnvp_jax.interop, realnvp_jax.models.flow\n"
        "found = {'numpyro', 'distrax', 'sklearn', 'flax.nnx'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
