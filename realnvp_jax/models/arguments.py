"""Checks of the arguments that the constructors of flows share, each with a one-sentence error."""

import math
import numbers
import operator
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from realnvp_jax.text import shorten


def integer(name: str, value: Any) -> int:
    """An integer, which True and False are not."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"expected {name} to be an integer; got {str(value)[:60]!r}") from None


def number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, np.ndarray | jax.Array) and not isinstance(value, Tracer) and value.ndim == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"expected {name} to be a finite number; got {str(value)[:60]!r}")
    return float(value)


def check_nonnegative(**values: Any) -> None:
    """Raise ValueError unless every value is a finite number of at least 0."""
    for name, value in values.items():
        if number(name, value) < 0:
            raise ValueError(f"expected {name} of at least 0; got {value}")


def choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise ValueError unless a value is one of several strings."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"expected {name} to be one of {choices}; got {shorten(value)}")


def integers(name: str, values: Any, example: str) -> tuple[int, ...]:
    """A tuple of integers."""
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise ValueError(f"expected {name} to be a tuple, such as {example}; got {str(values)[:60]}")
    return tuple(integer(f"every entry of {name}", value) for value in values)


def at_least(minimum: int, **values: Any) -> None:
    """Raise ValueError unless every value is an integer of at least `minimum`."""
    for name, value in values.items():
        if integer(name, value) < minimum:
            raise ValueError(f"expected {name} of at least {minimum}; got {value}")


def widths(hidden: Any, *, can_be_empty: bool = False) -> tuple[int, ...]:
    """Widths of hidden layers."""
    sizes = integers("hidden", hidden, "(128, 128)")
    if min(sizes, default=1) < 1 or not (sizes or can_be_empty):
        raise ValueError(f"expected hidden to be widths of at least 1; got {sizes}")
    return sizes


def check_residual(residual: bool, sizes: tuple[int, ...]) -> None:
    """Raise ValueError for residual connections with no layers to connect, or between layers of different widths."""
    if residual and (len(sizes) < 2 or len(set(sizes)) > 1):
        raise ValueError(f"expected two or more hidden layers of equal width for residual connections; got {sizes}")


def context_size(context: Any) -> int:
    """The width of the context; None means 0."""
    size = 0 if context is None else integer("context, a width,", context)
    if size < 0:
        raise ValueError(f"expected a context width of at least 0; got {size}")
    return size


def image_shape(event_shape: Any) -> tuple[int, int, int]:
    """(height, width, channels)."""
    shape = integers("event_shape", event_shape, "(28, 28, 1)")
    if len(shape) != 3 or min(shape) < 1:
        raise ValueError(f"expected event_shape (height, width, channels); got {str(shape)[:60]}")
    return shape


def check_divisible(shape: tuple[int, int, int], num_halvings: int, num_scales: int) -> None:
    """Raise ValueError unless height and width can be halved so many times."""
    divisor = 2 ** min(num_halvings, 30)  # no image is larger
    if shape[0] % divisor or shape[1] % divisor:
        raise ValueError(
            f"expected height and width divisible by {divisor} for num_scales={num_scales}; got {shape[0]}x{shape[1]}: "
            "use fewer scales, or crop or pad the images"
        )
