"""One-line descriptions of flows and modules."""

import dataclasses
from typing import Any

import flax.linen as nn


def describe_flow(flow: Any) -> str:
    """Everything that distinguishes a flow from other flows."""
    fields = [f"event_shape={flow.event_shape}", f"bijection={describe(flow.bijection)}", f"base={flow.base}"]
    fields.append(f"preprocessing={flow.preprocessing}")
    if flow.levels is not None:
        fields.append(f"levels={flow.levels}")
    if flow.context_size:
        fields.append(f"context_size={flow.context_size}")
    if flow.dequantizer.is_learned:
        fields.append(f"dequantizer={describe(flow.dequantizer)}")
    return f"Flow({', '.join(fields)})"


def describe(module: nn.Module) -> str:
    """One line: the module's class, and its attributes that differ from their defaults."""
    fields = [f for f in dataclasses.fields(module) if f.name not in ("parent", "name")]
    values = ((f.name, getattr(module, f.name)) for f in fields if getattr(module, f.name) != f.default)
    return f"{type(module).__name__}({', '.join(f'{n}={_describe_value(v)}' for n, v in values)})"


def _describe_value(value: Any) -> str:
    if isinstance(value, nn.Module):
        return describe(value)
    if isinstance(value, tuple) and any(isinstance(v, nn.Module) for v in value):
        return f"({', '.join(map(_describe_value, value))})"
    return repr(value)
