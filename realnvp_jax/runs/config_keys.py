"""The keys of a config: defaults for those that are missing, and values from a command line."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags
from ml_collections import ConfigDict, config_flags

from realnvp_jax.configs import default
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.models.create import MODELS, Config, model_keys, part_keys
from realnvp_jax.registry import parameters, registered
from realnvp_jax.text import shorten
from realnvp_jax.training.optimizer import optimizer_keys

_ADDED = (
    "tracker",
    "accumulate",
    "patience",
    "dataset.columns",
    "dataset.drop",
    "dataset.categories",
    "dataset.missing",
    "dataset.discrete",
    "dataset.shift",
    "evaluate.num_importance_samples",
)  # keys added after version 0.3.0; their defaults are what that version did
_OVERRIDE = re.compile(r"--?(no)?config\.([\w.]+)(=.*)?", re.DOTALL)


def filled(config: Config, where: str = "the config") -> Config:
    """A config with all keys: the given values, and defaults for the other keys.

    Args:
      config: keys, nested as in `{"dataset": {"name": "digits"}}`, or dotted as in `{"dataset.name": "digits"}`.
      where: what the config is called in messages.

    Raises:
      ValueError: a key is unknown, or its value has another type than its default.
    """
    if not isinstance(config, Mapping | ConfigDict):
        raise ValueError(f"expected a ConfigDict or a dict from {where}; got {type(config).__name__}")
    complete = default.get_config()
    parts = {}
    for key, value in _flat(config):
        if key in default.KEYS:
            _set(complete, key, value)
        else:
            parts[key] = value
    for key, value in parts.items():
        if key not in _keys_of_parts(complete):
            raise ValueError(f"expected {where} to have known keys; got {unknown_key(key)}")
        with complete.unlocked():
            _set(complete, key, value)
    return complete


def with_defaults(config: Config) -> Config:
    """The config of a run of version 0.3.0, with defaults for the keys that were added later.

    A config without `model`, or of an older version, is returned as it is.
    """
    if "mixing" not in config.get("model", {}):
        return config
    for key in (*_ADDED, *part_keys(), *optimizer_keys()):
        if key in default.KEYS and not _has(config, key):  # the run does not use parts that were registered later
            _set(config, key, default.KEYS[key][0])
    return config


def with_overrides(config: Config, arguments: Sequence[str]) -> Config:
    """A copy of a config with values from a command line.

    Args:
      config: the config.
      arguments: such as `--config.seed=1`, or `--config.seed 1`. If a key is given twice, the last value counts.

    Raises:
      ValueError: an argument is not an override, a key is unknown, a value has the wrong type, or the config's model
        does not read the key.
    """
    config = config.copy_and_resolve_references()
    values: dict[str, str] = {}
    for argument in arguments:
        match = _OVERRIDE.fullmatch(argument)
        if match is None:
            last = next(reversed(values), None)
            is_option = re.match(r"-(?![\d.])", argument)  # -1 is a value
            if last is None or "=" in values[last] or is_option:
                raise ValueError(_not_an_override(argument))
            values[last] += f"={argument}"
            continue
        key = match[2]
        if not _has(config, key):
            raise ValueError(f"expected a config key; got {unknown_key(key)}")
        values.pop(key, None)
        values[key] = f"--{match[1] or ''}config.{key}{match[3] or ''}"
    flat = dict(_flat(config))
    for key, text in values.items():
        if "=" not in text and not isinstance(flat[key], bool):
            raise ValueError(f"expected a value for --config.{key}; got none")
    words = ["realnvp", *values.values()]
    flag_values = flags.FlagValues()
    config_flags.DEFINE_config_dict("config", config, flag_values=flag_values, sys_argv=words)
    try:
        flag_values(words)
    except (flags.Error, TypeError, ValueError) as error:
        raise ValueError(f"expected a value of the key's type; got {' '.join(str(error).split())[:200]}") from None
    _check_read(config, list(values))
    return config


def unknown_key(key: str) -> str:
    """An unknown key, with the nearest known one."""
    if key in {**part_keys(), **optimizer_keys()} and key not in default.KEYS:
        return (
            f"{shorten(key)}, a parameter of a part that was registered, but is not in this config: add it in "
            f"get_config by 'with config.unlocked(): config.{key} = ...'"
        )
    near = difflib.get_close_matches(key, default.KEYS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{shorten(key)}: {hint}'realnvp train --help' lists all keys"


def _not_an_override(argument: str) -> str:
    name = re.split(r"[=\s]", argument.lstrip("-"), maxsplit=1)[0]
    if not argument.startswith("-"):
        return f"expected --config.KEY=VALUE after the config; got {shorten(argument)}"
    keys = [key for key in default.KEYS if key == name or key.rpartition(".")[2] == name]
    if keys:
        return f"expected a config key as --config.{keys[0]}=...; got {shorten(argument)}"
    options = ("config", "workdir", "seeds", "traceback", "help")
    near = difflib.get_close_matches(name, [*options, *default.KEYS], n=1)
    hint = f": did you mean --{near[0] if near[0] in options else f'config.{near[0]}'}?" if near else ""
    return f"expected --workdir, --seeds, --traceback or --config.KEY=VALUE; got {shorten(argument)}{hint}"


def _check_read(config: Config, keys: Sequence[str]) -> None:
    """Raise ValueError if one of the keys belongs to `config.model` and the config's model does not read it."""
    if config.model.name not in MODELS:
        return
    read = model_keys(config.model)
    for key in keys:
        group, _, name = key.partition(".")
        if group == "model" and name not in read:
            raise ValueError(
                f"expected a key that the {config.model.name} reads, of model.{{{','.join(read)}}}; got {key!r}, "
                "which has no effect on it"
            )


def _keys_of_parts(config: Config) -> set[str]:
    """Keys of the parts that a config chooses; a user's own parts can add keys to the default ones."""
    found = set()
    if config.model.name in MODELS:
        found |= {f"model.{name}" for name in model_keys(config.model)}
    for kind in ("optimizer", "dataset"):
        part = registered(kind).get(config[kind].name)
        if part is not None:
            names = part.__dataclass_fields__ if issubclass(part, DataSet) else parameters(part)
            found |= {f"{kind}.{name}" for name in names}
    return found


def _flat(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, ConfigDict):
        config = config.to_dict()
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _has(config: Config, key: str) -> bool:
    *groups, leaf = key.split(".")
    for group in groups:
        config = config[group] if isinstance(config, ConfigDict) and group in config else None
    return isinstance(config, ConfigDict) and leaf in config and not isinstance(config[leaf], ConfigDict)


def _set(config: Config, key: str, value: Any) -> None:
    *groups, leaf = key.split(".")
    for group in groups:
        config = config[group]
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(config.get(leaf), tuple) and isinstance(value, list):
        value = tuple(value)
    try:
        if value is None and config.get(leaf) is not None:  # a ConfigDict takes None for any type
            raise TypeError
        config[leaf] = value
    except TypeError:
        expected = type(config[leaf]).__name__
        raise ValueError(
            f"expected config.{key} of type {expected}, such as {config[leaf]!r}; got {shorten(value)}"
        ) from None
