"""Configs by name: those that ship with the package, and the user's Python files.

A config file has a function `get_config()`, or `get_config(argument)`, which returns a ConfigDict; `toy2d:moons` calls
the function of the shipped `toy2d` with the argument `moons`.
"""

import ast
import dataclasses
import difflib
import inspect
import re
from pathlib import Path
from typing import Any

import realnvp_jax.configs
from realnvp_jax.runs.config_keys import filled, unknown_key
from realnvp_jax.runs.python_files import call, import_file
from realnvp_jax.text import shorten

_FOLDER = Path(str(realnvp_jax.configs.__file__)).parent
_NOT_EXPERIMENTS = ("__init__", "default")


@dataclasses.dataclass(frozen=True)
class ConfigFile:
    """A config file, and the argument of its `get_config`.

    Attributes:
      path: the file.
      argument: the text after the colon, or None.
    """

    path: Path
    argument: str | None = None

    @property
    def run_name(self) -> str:
        """The name of a run of this config: toy2d:moons -> toy2d_moons."""
        return self.path.stem + (f"_{self.argument}" if self.argument else "")

    def load(self) -> Any:
        """The ConfigDict with every key.

        Raises:
          ValueError: the file fails, it has no `get_config` that takes such an argument, or it sets an unknown key.
        """
        what = "a config file with a function get_config()"
        get_config = getattr(import_file(self.path, what), "get_config", None)
        if get_config is None:
            raise ValueError(f"expected {what}; got {shorten(self.path, 150)}, which has none")
        parameters = list(inspect.signature(get_config).parameters.values())
        if self.argument is not None and not parameters:
            raise ValueError(
                f"expected {shorten(self.path.name)} without an argument, since its get_config() takes none; "
                f"got {shorten(self.argument)} after the colon"
            )
        if self.argument is None and parameters and parameters[0].default is inspect.Parameter.empty:
            raise ValueError(
                f"expected {self.path.stem}:{parameters[0].name.upper()}, since get_config() of "
                f"{shorten(self.path.name)} needs an argument; got none"
            )
        arguments = () if self.argument is None else (self.argument,)
        try:
            config = call(get_config, *arguments, path=self.path.resolve(), what=what)
        except ValueError as error:
            unknown = re.match(r".?Key \"(\w+)\" does not exist", str(error.__cause__))
            if unknown is None:
                raise
            raise ValueError(
                f"expected {shorten(self.path.name)} to set keys that exist; got {unknown_key(unknown[1])}"
            ) from None
        if config is None:
            raise ValueError(f"expected get_config() of {shorten(self.path.name)} to return a config; got no return")
        return filled(config, where=f"the config {self.path.name}")


def shipped() -> dict[str, Path]:
    """Name -> file of the configs that ship with the package."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.py")) if path.stem not in _NOT_EXPERIMENTS}


def find_config(text: str | Path) -> ConfigFile:
    """The config that a name or a path stands for, optionally with an argument after a colon.

    Raises:
      ValueError: there is no such config.
    """
    text = str(text)
    named = shipped()
    parts = text.split(":")
    for count in range(len(parts), 0, -1):  # a directory may have a colon in its name
        head, argument = ":".join(parts[:count]), ":".join(parts[count:]) or None
        path = Path(head).expanduser()
        if path.suffix == ".py" and path.is_file():
            return ConfigFile(path, argument)
        if head in named:
            return ConfigFile(named[head], argument)
    stem = Path(parts[0]).stem
    near = difflib.get_close_matches(stem, named, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(
        f"expected a config: one that ships, such as 'digits', or a Python file; got {shorten(text, 150)}, which is "
        f"neither: {hint}'realnvp configs' lists those that ship"
    )


def get_config(name: str | Path) -> Any:
    """The complete config that a name or a path stands for; change it as you like, and pass it to `train`.

    Args:
      name: a shipped config such as "digits" or "toy2d:moons" (`realnvp configs` lists them), or a Python file.

    Returns:
      A ConfigDict with every key of `realnvp_jax.configs.default`.

    Raises:
      ValueError: there is no such config, or its file fails.

    Example:
      >>> import realnvp_jax
      >>> config = realnvp_jax.get_config("toy2d:moons")
      >>> config.num_steps = 100
      >>> realnvp_jax.create(config).event_shape
      (2,)
    """
    return find_config(name).load()


def documentation(path: Path) -> tuple[str, str]:
    """(first sentence, expected result) from the docstring of a config file, without running the file."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, *others = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    first, mark, rest = first.partition(" Expected")
    expected = [paragraph for paragraph in (f"Expected{rest}" if mark else "", *others) if paragraph[:8] == "Expected"]
    return first, expected[0] if expected else ""
