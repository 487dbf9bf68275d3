"""A flow's functions as ONNX models, by jax2onnx: they run by ONNX Runtime, without JAX.

A model has one input `x` (or `latents`), [n, *event], one more, `context`, for a conditional flow, and holds the
parameters. The functions are those of `analysis.exported`.

jax2onnx replaces functions of `jax.numpy` while it traces, and supports loops only in part. Therefore a function is
traced here, without it, and written out as single operations: calls are inlined, and loops with a known number of steps
are unrolled.
"""

import contextlib
import functools
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from realnvp_jax.analysis.exported import FUNCTIONS, argument_shapes
from realnvp_jax.models.flow import Flow, Params

INPUTS = {"log_prob": "x", "sample": "latents"}
_CALLS = ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint", "custom_jvp_call", "custom_vjp_call")
_MOST_OPERATIONS = 10_000  # the model of CIFAR-10 has 6,300; the time that jax2onnx takes grows faster than the number


def has_onnx() -> bool:
    """Whether the packages of the extra "onnx" are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("jax2onnx", "onnx", "onnxruntime"))


def export_onnx(flow: Flow, params: Params, name: str) -> bytes:
    """A function of a flow as a serialized ONNX model.

    Args:
      flow: the flow.
      params: its parameters, which become a part of the model.
      name: "log_prob" or "sample".

    Raises:
      ValueError: the packages are not installed, or the function has an operation that has no counterpart in ONNX.
    """
    if not has_onnx():
        raise ValueError("expected jax2onnx and onnxruntime for ONNX; got none: pip install 'realnvp-jax[onnx]'")
    shapes = argument_shapes(flow)
    single = single_operations(functools.partial(FUNCTIONS[name], flow, params), shapes)
    with _quietly():
        from jax2onnx import to_onnx

        try:
            model = to_onnx(single, shapes, model_name=name, input_names=[INPUTS[name], "context"][: len(shapes)])
        except (NotImplementedError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0][:150]
            raise ValueError(f"expected operations that ONNX has in {name} of this flow; got {reason}") from None
    return model.SerializeToString()  # pyright: ignore[reportAttributeAccessIssue]  # a ModelProto by default


def single_operations(function: Callable[..., Any], shapes: Sequence[jax.ShapeDtypeStruct]) -> Callable[..., Any]:
    """The same function of arrays of these shapes, without loops and calls.

    Raises:
      ValueError: it has a loop whose number of steps is not known, or too many operations.
    """
    looping = jax.make_jaxpr(function)(*shapes)
    count = _count(looping.jaxpr)
    if count > _MOST_OPERATIONS:
        raise ValueError(
            f"expected at most {_MOST_OPERATIONS:,} operations without loops in a function for ONNX; got {count:,}"
        )
    flat = jax.make_jaxpr(lambda *arguments: _run(looping.jaxpr, looping.consts, *arguments))(*shapes)
    return lambda *arguments: _run(flat.jaxpr, flat.consts, *arguments)[0]


def _inner(parameters: dict[str, Any]) -> tuple[Jaxpr, Sequence[Any]]:
    """The function that a call calls, and its constants."""
    name = next(name for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in parameters)
    inner = parameters[name]
    return (inner.jaxpr, inner.consts) if isinstance(inner, ClosedJaxpr) else (inner, ())


def _count(jaxpr: Jaxpr) -> int:
    """Number of operations when all loops are unrolled."""
    total = 0
    for equation in jaxpr.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "scan":
            total += parameters["length"] * _count(_inner(parameters)[0])
        elif name in _CALLS:
            total += _count(_inner(parameters)[0])
        elif name == "while":
            raise ValueError("expected loops with a known number of steps for ONNX; got one without")
        else:
            total += 1
    return total


def _run(jaxpr: Jaxpr, consts: Sequence[Any], *arguments: Any) -> list[Any]:
    """Evaluate operation by operation."""
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in jaxpr.eqns:
        inputs, name = [read(variable) for variable in equation.invars], equation.primitive.name
        if name == "scan":
            outputs = _unrolled(equation.params, inputs)
        elif name in _CALLS:
            outputs = _run(*_inner(equation.params), *inputs)
        elif name == "stack":
            outputs = [_stacked(inputs, **equation.params)]
        else:
            outputs = equation.primitive.bind(*inputs, **equation.params)
            outputs = outputs if equation.primitive.multiple_results else [outputs]
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _unrolled(parameters: dict[str, Any], inputs: list[Any]) -> list[Any]:
    """The outputs of a scan: the carry, and the stacked outputs of its steps."""
    if "num_consts" in parameters:
        num_consts, num_carry = parameters["num_consts"], parameters["num_carry"]
    else:  # since JAX 0.12
        num_consts, num_carry = (len(list(part)) for part in list(parameters["ft_in"].unpack())[:2])
    consts, carry = inputs[:num_consts], inputs[num_consts : num_consts + num_carry]
    layers, length = inputs[num_consts + num_carry :], parameters["length"]
    body, body_consts = _inner(parameters)
    rows: dict[int, list[Any]] = {}
    for step in reversed(range(length)) if parameters["reverse"] else range(length):
        outputs = _run(body, body_consts, *consts, *carry, *[layer[step] for layer in layers])
        carry, rows[step] = outputs[:num_carry], outputs[num_carry:]
    return [*carry, *map(_stacked, zip(*(rows[step] for step in range(length)), strict=True))]


def _stacked(arrays: Sequence[Any], axis: int = 0) -> Any:
    """`jnp.stack`, which jax2onnx does not know as an operation, by others."""
    return jax.lax.concatenate([jax.lax.expand_dims(array, (axis,)) for array in arrays], axis)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the messages of jax2onnx and of the packages under it, which are about their own optional parts."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
