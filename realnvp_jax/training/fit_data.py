"""The data of `fit`: an array in memory or a simulator, and examples held out for validation."""

import dataclasses
import functools
import numbers
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.checks import (
    check_context_scale,
    check_distinct,
    check_finite,
    check_independent,
    check_not_constant,
    check_scale,
)
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.data.examples import Examples
from realnvp_jax.models.flow import Flow
from realnvp_jax.native import native_array
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.text import shorten
from realnvp_jax.training.steps import Batch

_VALIDATION = 0x76616C69  # distinct from the step numbers that keys are folded with

Simulator = Callable[[jax.Array, int], Any]  # (key, n) -> x, or (x, context)


@dataclasses.dataclass(frozen=True)
class FitData:
    """The data of one call of `fit`.

    Attributes:
      draw: maps a step, counted from 0, to its batch, always the same for the same step.
      num_examples: number of examples in an epoch; None for a simulator.
      validation: the examples to validate on, or None.
    """

    draw: Callable[[int], Batch]
    num_examples: int | None
    validation: Examples | None


def fit_data(flow: Flow, x: Any, context: Any, validation: Any, batch_size: int, key: jax.Array) -> FitData:
    """The data that the arguments of `fit` describe.

    Args:
      flow: the flow.
      x: an array or a simulator.
      context: the context of the array.
      validation: a fraction of x, an array, (x, context), or None.
      batch_size: examples per update.
      key: random key of the order of the examples, of the simulator and of the fraction.

    Raises:
      TypeError, ValueError: as `fit`.
    """
    fraction = _fraction(validation)
    held_out = None
    if validation is not None and fraction is None:
        pair = validation if isinstance(validation, tuple) else (validation, None)
        if len(pair) != 2:
            raise ValueError(f"expected validation to be x or (x, context); got a tuple of {len(pair)}")
        pair = (_ordered_as(x, pair[0], "validation examples"), _ordered_as(context, pair[1], "validation context"))
        held_out = checked_examples(flow, *pair, "validation examples")
    if callable(x):
        if context is not None:
            raise ValueError("expected the simulator to return (x, context); got a context beside it")
        if fraction is not None:
            raise ValueError(
                f"expected validation to be examples, since a simulator has none to hold out; got {fraction}: draw "
                "some with another key"
            )
        draws = functools.partial(_simulate, flow, x, key, batch_size)
        check_draws(flow, draws(0), "draws of the simulator")
        return FitData(draws, None, held_out)
    examples = checked_examples(flow, x, context)
    if fraction is not None:
        examples, held_out = _split(examples, fraction, key)
    if len(flow.event_shape) == 1:
        if len(examples) < batch_size:
            raise ValueError(f"expected at least batch_size={batch_size} rows; got {len(examples)}: lower batch_size")
        if not np.issubdtype(examples.x.dtype, np.integer):
            check_not_constant(examples.x)
            if len(examples) > 1:
                if examples.x.dtype == np.float32:
                    check_scale(examples.x, _names(x))
                check_distinct(examples.x, _names(x))
                check_independent(examples.x, _names(x))
    seed = int(jax.random.randint(key, (), 0, np.iinfo(np.int32).max))

    def draw(step: int) -> Batch:
        return examples.batch(batch_indices(seed, step, batch_size, len(examples)))

    return FitData(draw, len(examples), held_out)


def checked_examples(flow: Flow, x: Any, context: Any, what: str = "x") -> Examples:
    """Check examples against the flow: native integers, or values of JAX's floating-point type.

    Raises:
      TypeError: the examples are not of a type that the flow takes.
      ValueError: a shape is wrong, a value is not finite or out of range, or has density 0.
    """
    array = np.asarray(native_array(x, what))
    if array.shape[1:] != flow.event_shape or len(array) == 0:
        raise ValueError(f"expected {what} of shape (n, {str(flow.event_shape)[1:]} with n > 0; got {array.shape}")
    if np.issubdtype(array.dtype, np.integer) and flow.levels is not None:
        check_pixels(array, flow.levels)
    elif not jnp.issubdtype(array.dtype, jnp.floating):
        hint = "x.astype('float32')" if flow.levels is None else "x.astype('uint8') for pixels"
        raise TypeError(f"expected {_types(flow)}; got {array.dtype}: convert them, {hint}")
    else:
        array = checked_values(array, "values" if what == "x" else what, flow, _names(x))
    conditions = _checked_context(flow, context, len(array))
    if conditions is not None and what == "x":
        check_context_scale(np.asarray(native_array(context, "the context", booleans=True)), _names(context))
    return Examples(array, conditions)


def checked_values(
    values: Any, what: str, flow: Flow | None = None, columns: Sequence[str] | None = None
) -> np.ndarray:
    """Check values [n, ...], and convert them to JAX's floating-point type.

    Args:
      values: the values.
      what: what the values are called in messages.
      flow: the flow whose support must contain the values, if they are examples.
      columns: names of the columns of a table; None to call them by their numbers.

    Raises:
      ValueError: a value is NaN or infinite, overflows, or is outside the support of the flow's preprocessing.
    """
    check_finite(values, columns, what)
    dtype, rounded = jnp.finfo(jnp.result_type(float)), np.asarray(_as_floats(values))
    check_finite(rounded, columns, f"{what} in {dtype.dtype}, whose largest number is {float(dtype.max):.1e}")
    if flow is not None:
        contained = np.asarray(flow.preprocessing.contains(jnp.asarray(rounded)))
        outside = ~contained.reshape(len(rounded), -1).all(axis=1)
        if outside.any():
            raise ValueError(
                f"expected {what} in the support of {flow.preprocessing}, outside of which the density is 0; got "
                f"{rounded.min():g} to {rounded.max():g}, with {outside.sum()} of {len(rounded)} rows outside: rescale "
                "them"
            )
    return rounded


def rounded_batch(batch: Batch) -> Batch:
    """The batch in types that JAX takes unchanged; JAX would warn of float64 values that overflow."""
    return {
        name: _as_floats(values) if jnp.issubdtype(values.dtype, jnp.floating) else values
        for name, values in batch.items()
    }


def _as_floats(values: Any) -> Any:
    with np.errstate(over="ignore"):
        return values.astype(jnp.result_type(float), copy=False)


def check_draws(flow: Flow, batch: Batch, what: str) -> None:
    """Raise ValueError for a batch that cannot have a finite log-density under any parameters."""
    for name, values in batch.items():
        if jnp.issubdtype(values.dtype, jnp.floating):
            checked_values(values, what if name == "x" else f"context of {what}", flow if name == "x" else None)
        else:
            check_pixels(values, flow.levels or 0)


def _types(flow: Flow) -> str:
    if flow.levels is None:
        return "floating-point values for a flow without levels"
    return f"integer pixels or floating-point values for a flow of {flow.levels} levels"


def _checked_context(flow: Flow, context: Any, num_examples: int) -> np.ndarray | None:
    expected = (num_examples, flow.context_size)
    if context is None:
        if flow.context_size:
            raise ValueError(f"expected context of shape {expected}; got none, and this flow is conditional")
        return None
    if flow.context_size == 0:
        raise ValueError("expected no context: this flow was built without a context size")
    array = np.asarray(native_array(context, "the context", booleans=True))
    if array.shape != expected:
        raise ValueError(f"expected context of shape {expected}; got {array.shape}")
    return checked_values(array, "context", columns=_names(context))


def _names(table: Any) -> list[str] | None:
    """Names of the columns of a table, or None for an array."""
    return [str(name) for name in table.columns] if hasattr(table, "columns") else None


def _ordered_as(first: Any, other: Any, what: str) -> Any:
    """The other table with its columns in the order of the first one, if both have names; arrays have none."""
    names, given = ([] if not hasattr(table, "columns") else list(table.columns) for table in (first, other))
    if names == given or not all(isinstance(name, str) for name in (*names, *given)) or not (names and given):
        return other
    if sorted(names) != sorted(given) or len(set(names)) < len(names):
        raise ValueError(
            f"expected {what} with the columns {shorten(', '.join(names), 100)}; got {shorten(', '.join(given), 100)}"
        )
    return other[names]


def _fraction(validation: Any) -> float | None:
    """The fraction of x to hold out, or None if `validation` is something else."""
    if not isinstance(validation, numbers.Real):
        return None
    fraction = float(validation)
    if not 0 < fraction < 1:
        raise ValueError(f"expected validation to be a fraction between 0 and 1, or examples; got {validation}")
    return fraction


def _split(examples: Examples, fraction: float, key: jax.Array) -> tuple[Examples, Examples]:
    """(remaining examples, held-out examples), chosen at random."""
    count = round(fraction * len(examples))
    if not 0 < count < len(examples):
        raise ValueError(
            f"expected validation={fraction:g} to hold out some of {len(examples)} examples, and not all; "
            f"got {count} of them"
        )
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, _VALIDATION), len(examples)))
    held_out, left = np.sort(order[:count]), np.sort(order[count:])
    return _chosen(examples, left), _chosen(examples, held_out)


def _chosen(examples: Examples, indices: np.ndarray) -> Examples:
    return Examples(examples.x[indices], None if examples.context is None else examples.context[indices])


def _simulate(flow: Flow, simulator: Simulator, key: jax.Array, batch_size: int, step: int) -> Batch:
    """One batch from a simulator."""
    drawn = simulator(jax.random.fold_in(key, step), batch_size)
    expected = {"x": (batch_size, *flow.event_shape)}
    if flow.context_size:
        expected["context"] = (batch_size, flow.context_size)
    parts = [native_array(part, "draws") for part in (drawn if isinstance(drawn, tuple) else (drawn,))]
    got = tuple(np.shape(part) for part in parts)
    if got != tuple(expected.values()):
        raise ValueError(f"expected the simulator to return {' and '.join(expected)} of {expected}; got shapes {got}")
    batch = dict(zip(expected, parts, strict=True))
    if "context" in batch:
        batch["context"] = jnp.asarray(batch["context"], jnp.result_type(float))
    is_float = jnp.issubdtype(batch["x"].dtype, jnp.floating)
    if not is_float and (flow.levels is None or not jnp.issubdtype(batch["x"].dtype, jnp.integer)):
        raise TypeError(f"expected {_types(flow)} from the simulator; got {batch['x'].dtype}")
    return batch
