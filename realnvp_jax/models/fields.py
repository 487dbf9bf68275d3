"""The fields of a flow: checks of their types, and a hash that is the same in every process.

Python's own hash of a string depends on PYTHONHASHSEED, and that of None on an address, so they cannot name an entry of
a cache on disk. This one is computed from the values alone. Equal flows have equal hashes.
"""

import dataclasses
import hashlib
import numbers
from typing import Any

import flax.linen as nn
import numpy as np

from realnvp_jax.base import Base
from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.models import arguments
from realnvp_jax.models.dequantizers import Dequantizer
from realnvp_jax.text import shorten

_PARTS = {"bijection": Bijection, "base": Base, "dequantizer": Dequantizer}
_PREPROCESSING = ("forward", "inverse", "contains", "interior_point")


def check_fields(flow: Any) -> None:
    """Raise TypeError for a part of another kind or a field that is not hashable, ValueError for bad numbers.

    Sequences and integers of other types become tuples and ints, and the hash is set as the attribute `_hash`.
    """
    for name, kind in _PARTS.items():
        part = getattr(flow, name)
        if not isinstance(part, kind):
            raise TypeError(
                f"expected {name} to be an object of a subclass of realnvp_jax.{kind.__name__}; got {_kind_of(part)}"
            )
    missing = [name for name in _PREPROCESSING if not callable(getattr(flow.preprocessing, name, None))]
    if missing or isinstance(flow.preprocessing, type):
        raise TypeError(
            f"expected preprocessing with the methods {', '.join(_PREPROCESSING)}, such as realnvp_jax.Identity(); got "
            f"{_kind_of(flow.preprocessing)}"
        )
    shape = arguments.integers("event_shape", flow.event_shape, "(2,)")
    if min(shape, default=0) < 1:
        raise ValueError(f"expected event_shape to be sizes of at least 1; got {shape}")
    object.__setattr__(flow, "event_shape", shape)
    object.__setattr__(flow, "context_size", arguments.context_size(flow.context_size))
    if flow.levels is not None:
        arguments.at_least(2, levels=flow.levels)
        object.__setattr__(flow, "levels", int(flow.levels))
        of_dequantizer = getattr(flow.dequantizer, "levels", flow.levels)
        if of_dequantizer != flow.levels:
            raise ValueError(f"expected a dequantizer for levels={flow.levels}; got one for {of_dequantizer}")
    object.__setattr__(flow, "_hash", flow_hash(flow))


def flow_hash(flow: Any) -> int:
    """The hash of a flow.

    Raises:
      TypeError: a field of one of its parts is not hashable, such as a list.
    """
    digest = hashlib.sha256()
    for field in dataclasses.fields(flow):
        _add(digest, getattr(flow, field.name), field.name)
    return int.from_bytes(digest.digest()[:7], "big")


def _add(digest: Any, value: Any, path: str) -> None:
    """Add a value to the digest: what is equal adds the same bytes."""
    if isinstance(value, str):
        digest.update(b"s%d:" % len(value) + value.encode())
    elif isinstance(value, numbers.Number | np.bool_):
        digest.update(b"n%d;" % (hash(value) if value == value else 0))  # equal numbers of all types hash alike
    elif isinstance(value, tuple):
        digest.update(b"t%d:" % len(value))
        for i, entry in enumerate(value):
            _add(digest, entry, f"{path}[{i}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        digest.update(f"d{type(value).__module__}.{type(value).__qualname__}:".encode())
        for field in dataclasses.fields(value):
            if field.compare and not (isinstance(value, nn.Module) and field.name in ("parent", "name")):
                _add(digest, getattr(value, field.name), f"{path}.{field.name}")
    else:
        try:
            hash(value)
        except TypeError:
            raise TypeError(
                f"expected hashable fields in a flow, such as tuples; got {_kind_of(value)} in {path}: {shorten(value)}"
            ) from None
        digest.update(b"?")  # functions, dtypes and others have no value to digest


def _kind_of(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}, not an object of it, {value.__name__}()"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"
