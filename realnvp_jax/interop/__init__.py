"""Flows within other libraries, and parameters from other implementations.

Every name is imported when it is first used, so that nobody needs the libraries that they do not use.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realnvp_jax.interop.authors import from_authors
    from realnvp_jax.interop.chrischute import from_chrischute

_PLACES = {"from_authors": "authors", "from_chrischute": "chrischute"}
_ADAPTERS = ("distrax", "numpyro", "sklearn")

__all__ = ["from_authors", "from_chrischute"]


def __getattr__(name: str) -> Any:
    if name in _ADAPTERS:
        return importlib.import_module(f"realnvp_jax.interop.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"realnvp_jax.interop.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # without the adapters: `help` looks up every name, installed or not
