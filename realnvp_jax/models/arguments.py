"""Checks of the arguments that the constructors of flows share: each gives the value back, or one sentence."""

import operator
from collections.abc import Sequence


def at_least(minimum: int, **values: int) -> None:
    """Raise ValueError unless every value is an integer of at least `minimum`."""
    for name, value in values.items():
        if operator.index(value) < minimum:
            raise ValueError(f"expected {name} of at least {minimum}; got {value}")


def one_of(name: str, value: str, choices: Sequence[str]) -> str:
    """One of the choices."""
    if value not in choices:
        raise ValueError(f"expected {name} to be one of {tuple(choices)}; got {value!r}")
    return value


def widths(hidden: Sequence[int], *, can_be_empty: bool = False) -> tuple[int, ...]:
    """Widths of hidden layers."""
    if isinstance(hidden, int):
        raise ValueError(f"expected hidden to be a tuple of widths, such as (128, 128); got {hidden}")
    sizes = tuple(map(operator.index, hidden))
    if min(sizes, default=1) < 1 or not (sizes or can_be_empty):
        raise ValueError(f"expected hidden to be widths of at least 1; got {sizes}")
    return sizes


def equal_widths_if(residual: bool, sizes: tuple[int, ...]) -> None:
    """Raise ValueError for residual connections between layers of different widths."""
    if residual and len(set(sizes)) > 1:
        raise ValueError(f"expected hidden layers of equal width for residual connections; got {sizes}")


def context_size(context: int | None) -> int:
    """The width of the context, 0 for None."""
    size = operator.index(context or 0)
    if size < 0:
        raise ValueError(f"expected a context width of at least 0; got {size}")
    return size


def image_shape(event_shape: Sequence[int]) -> tuple[int, int, int]:
    """(height, width, channels)."""
    shape = tuple(map(operator.index, event_shape))
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"expected event_shape (height, width, channels); got {shape}")
    return shape
