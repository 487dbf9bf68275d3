"""Copies of modules, so that a part that is used in several places has separate parameters in each."""

from typing import Any, TypeVar

import flax.linen as nn

Module = TypeVar("Module", bound=nn.Module)


def fresh_copy(module: Module, **updates: Any) -> Module:
    """An unbound copy of a module and of all modules in its fields, with some fields updated.

    Flax shares a module that is an attribute of several modules, and its `clone` leaves the modules in its fields bound
    to their old parents.
    """
    return module.clone(_deep_clone=True, _reset_names=True, **updates)
