"""Parts by name.

A part is a small frozen object with parameters: a dataclass, or a Flax module whose fields are parameters. Wherever a
factory takes a part, it takes the object or the name under which its class is registered:

    realnvp_jax.register("transform", "mine", Mine)
    realnvp_jax.vector_flow(2, transform="mine", size=3)         # the same as transform=Mine(size=3)

`parameter` declares a field together with its meaning and its range. Range checks, error messages, config keys and help
texts are all derived from these declarations.
"""

import dataclasses
import difflib
import math
import numbers
import sys
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any

from realnvp_jax.text import shorten

PART_KINDS = (  # the kinds of parts of a flow
    "transform",
    "image_mask",
    "vector_mask",
    "mixing",
    "normalization",
    "conditioner",
    "dequantizer",
    "base",
)
_KINDS = (*PART_KINDS, "optimizer", "dataset", "tracker")

_parts: dict[str, dict[str, type]] = {kind: {} for kind in _KINDS}


def parameter(
    default: Any,
    meaning: str,
    *,
    at_least: float | int | None = None,
    at_most: float | int | None = None,
    above: float | int | None = None,
    below: float | int | None = None,
    choices: Sequence[Any] = (),
) -> Any:
    """Declare a field of a part, with its meaning and its range.

    Args:
      default: the default value. If it is an integer, values must be integers; if it is a float, finite numbers.
      meaning: one line for the help text.
      at_least: smallest value.
      at_most: largest value.
      above: exclusive lower bound.
      below: exclusive upper bound.
      choices: all allowed values.
    """
    bounds = {"at least": at_least, "at most": at_most, "above": above, "below": below}
    limits = {name: bound for name, bound in bounds.items() if bound is not None}
    return dataclasses.field(default=default, metadata={"meaning": meaning, "limits": limits, "choices": choices})


def check_parameters(part: Any) -> None:
    """Raise ValueError unless the value of every field that `parameter` declares is in its range."""
    for field in dataclasses.fields(part):
        if "meaning" in field.metadata:
            check_value(field.name, getattr(part, field.name), field)


def check_value(name: str, value: Any, field: dataclasses.Field) -> None:
    """Raise ValueError unless a value is in the range of a field that `parameter` declares."""
    choices, limits = field.metadata["choices"], field.metadata["limits"]
    if choices:
        if not isinstance(value, Hashable) or value not in choices:  # an array has no truth value to compare by
            raise ValueError(f"expected {name} to be one of {tuple(choices)}; got {str(value)[:60]!r}")
        return
    if isinstance(value, list):
        raise ValueError(f"expected {name} to be a tuple, which is hashable; got the list {str(value)[:60]}")
    if isinstance(field.default, bool) and not isinstance(value, bool):
        raise ValueError(f"expected {name} to be True or False; got {str(value)[:60]!r}")
    kind = _number_type(field.default)
    if kind is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or not math.isfinite(value):
        what = "an integer" if kind is numbers.Integral else "a finite number"
        raise ValueError(f"expected {name} to be {what}; got {str(value)[:60]!r}")
    holds = {
        "at least": lambda bound: value >= bound,
        "at most": lambda bound: value <= bound,
        "above": lambda bound: value > bound,
        "below": lambda bound: value < bound,
    }
    if not all(holds[limit](bound) for limit, bound in limits.items()):
        allowed = " and ".join(f"{limit} {bound}" for limit, bound in limits.items())
        joined = f"of {allowed}" if allowed.startswith("at") else allowed
        raise ValueError(f"expected {name} {joined}; got {str(value)[:60]}")


def _number_type(default: Any) -> Any:
    if isinstance(default, bool):
        return None
    if isinstance(default, int):
        return numbers.Integral
    return numbers.Real if isinstance(default, float) else None


def register(kind: str, name: str, part: type | None = None) -> Any:
    """Register the class of a part under a name; without `part`, return a decorator that does so.

    In a config, the parameters of a model's parts are keys of `config.model` (those of an optimizer are keys of
    `config.optimizer`). A parameter with the name of a key in `configs.default` takes its value from that key. Choose
    names that are not arguments of the factories.

    Args:
      kind: transform, image_mask, vector_mask, mixing, normalization, conditioner, dequantizer, base, optimizer,
        dataset or tracker.
      name: the name to use in factories and configs.
      part: the class.

    Raises:
      ValueError: the kind is unknown, or another class already has the name.
    """
    if part is None:
        return lambda part: register(kind, name, part)
    named = _of_kind(kind)
    before = named.get(name, part)
    if _origin(before) != _origin(part):
        raise ValueError(f"expected a new name for a {kind}; got {name!r}, the name of {before.__qualname__}")
    named[name] = part
    return part


def _origin(part: type) -> tuple[str, str]:
    """Where a class is defined: the same if its file is imported a second time under another name."""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    return file or part.__module__, part.__qualname__


def registered(kind: str) -> Mapping[str, type]:
    """Name -> class of all parts of a kind, in alphabetical order.

    Raises:
      ValueError: the kind is unknown.
    """
    return dict(sorted(_of_kind(kind).items()))


def part_class(kind: str, name: str) -> type:
    """The class that is registered under a name.

    Raises:
      ValueError: no class has the name.
    """
    named = registered(kind)
    if name not in named:
        raise ValueError(
            f"expected {kind} to be one of the registered {listed(named)}; got {shorten(name)}: {advice(name, named)}"
        )
    return named[name]


def listed(names: Iterable[str], length: int = 150) -> str:
    """As many of the names, separated by commas, as fit into a one-sentence message."""
    text = ", ".join(names)
    return text if len(text) <= length else f"{text[:length].rpartition(',')[0]}, ..."


def advice(name: str, names: Collection[str]) -> str:
    """Advice for a name that is not one of the registered names."""
    near = difflib.get_close_matches(str(name), names, n=1)
    register_first = "first import the file that registers it (for commands, realnvp --import FILE)"
    return f"did you mean {near[0]!r}? If it is your own part, {register_first}" if near else register_first


def parameters(part: type) -> dict[str, dataclasses.Field]:
    """The fields of a part that `parameter` declares, by name."""
    return {field.name: field for field in dataclasses.fields(part) if "meaning" in field.metadata}


def _shipped_first(kinds: Sequence[str]) -> list[tuple[str, type]]:
    """(kind and name, part), those of this package first: a part of a user does not change its defaults and ranges."""
    parts = [(f"{kind} {name}", part) for kind in kinds for name, part in registered(kind).items()]
    return sorted(parts, key=lambda item: not item[1].__module__.startswith("realnvp_jax."))


def config_keys(group: str, kinds: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """Config keys, group.parameter -> (default, meaning), of all registered parts of some kinds."""
    defaults: dict[str, Any] = {}
    meanings: dict[str, dict[str, list[str]]] = {}  # option -> meaning -> parts
    for name, part in _shipped_first(kinds):
        for option, field in parameters(part).items():
            defaults.setdefault(option, field.default)
            meanings.setdefault(option, {}).setdefault(field.metadata["meaning"], []).append(name)
    return {
        f"{group}.{option}": (
            defaults[option],
            "; ".join(f"{', '.join(parts)}: {meaning}" for meaning, parts in meanings[option].items()),
        )
        for option in defaults
    }


def config_fields(group: str, kinds: Sequence[str]) -> dict[str, dataclasses.Field]:
    """Config keys, group.parameter -> field that declares it, of all registered parts of some kinds."""
    found: dict[str, dataclasses.Field] = {}
    for _, part in _shipped_first(kinds):
        for option, field in parameters(part).items():
            found.setdefault(f"{group}.{option}", field)
    return found


def make_parts(
    chosen: Mapping[str, tuple[str, Any, type]], options: Mapping[str, Any], shared: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The parts that a factory was given, as objects or by name, all as objects.

    Args:
      chosen: argument of the factory -> (kind, object or registered name, class that an object must have).
      options: parameters of the parts that are given by name. Each is passed to every such part that has it.
      shared: the factory's own arguments that are passed on likewise to every part that has them.

    Returns:
      Argument -> object.

    Raises:
      TypeError: an object is not a part of its kind.
      ValueError: a name is not registered, no part given by name has one of the parameters, or a value is out of range.
    """
    classes = {
        argument: part_class(kind, choice) for argument, (kind, choice, _) in chosen.items() if isinstance(choice, str)
    }
    known = {argument: parameters(part) for argument, part in classes.items()}
    for option in options:
        if not any(option in fields for fields in known.values()):
            names = ", ".join(dict.fromkeys(name for fields in known.values() for name in fields)) or "none"
            near = difflib.get_close_matches(option, [name for fields in known.values() for name in fields], n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            parts = ", ".join(f"{argument}={chosen[argument][1]!r}" for argument in classes) or "parts given by name"
            raise ValueError(f"expected parameters of {parts}, of {names}; got {option!r}{hint}")
    options = {**(shared or {}), **options}
    made = {}
    for argument, (_, choice, base) in chosen.items():
        if argument in classes:
            made[argument] = classes[argument](**{name: options[name] for name in known[argument] if name in options})
        elif isinstance(choice, base):
            made[argument] = choice
        else:
            raise TypeError(
                f"expected {argument} to be a registered name or a {base.__name__}; got {_described(choice)}"
            )
    return made


def _described(choice: Any) -> str:
    if isinstance(choice, type):
        return f"the class {choice.__name__}, not an object of it, {choice.__name__}()"
    return type(choice).__name__


def _of_kind(kind: str) -> dict[str, type]:
    if kind not in _parts:
        raise ValueError(f"expected a kind of part, one of {_KINDS}; got {str(kind)[:60]!r}")
    return _parts[kind]
