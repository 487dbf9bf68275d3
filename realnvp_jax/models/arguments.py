"""Checks of the arguments that the constructors of flows share, each with one sentence for what does not fit."""

import operator
from collections.abc import Sequence
from typing import Any


def integer(name: str, value: Any) -> int:
    """An integer."""
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"expected {name} to be an integer; got {str(value)[:60]!r}") from None


def _integers(name: str, values: Any, example: str) -> tuple[int, ...]:
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ValueError(f"expected {name} to be a tuple, such as {example}; got {str(values)[:60]}")
    return tuple(integer(f"every entry of {name}", value) for value in values)


def at_least(minimum: int, **values: int) -> None:
    """Raise ValueError unless every value is an integer of at least `minimum`."""
    for name, value in values.items():
        if integer(name, value) < minimum:
            raise ValueError(f"expected {name} of at least {minimum}; got {value}")


def one_of(name: str, value: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        raise ValueError(f"expected {name} to be one of {tuple(choices)}; got {value!r}")


def widths(hidden: Any, *, can_be_empty: bool = False) -> tuple[int, ...]:
    """Widths of hidden layers."""
    sizes = _integers("hidden", hidden, "(128, 128)")
    if min(sizes, default=1) < 1 or not (sizes or can_be_empty):
        raise ValueError(f"expected hidden to be widths of at least 1; got {sizes}")
    return sizes


def check_residual(residual: bool, sizes: tuple[int, ...]) -> None:
    """Raise ValueError for residual connections without layers to connect, or between layers of different widths."""
    if residual and (len(sizes) < 2 or len(set(sizes)) > 1):
        raise ValueError(f"expected two or more hidden layers of equal width for residual connections; got {sizes}")


def context_size(context: Any) -> int:
    """The width of the context, 0 for None."""
    size = 0 if context is None else integer("context, a width,", context)
    if size < 0:
        raise ValueError(f"expected a context width of at least 0; got {size}")
    return size


def image_shape(event_shape: Any) -> tuple[int, int, int]:
    """(height, width, channels)."""
    shape = _integers("event_shape", event_shape, "(28, 28, 1)")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"expected event_shape (height, width, channels); got {shape}")
    return shape
