"""The user's Python files: configs, and files that register parts."""

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from realnvp_jax.text import describe_error, shorten


def import_file(path: Path, what: str = "a Python file that registers parts") -> ModuleType:
    """Run a Python file. It may import modules from its own folder and from the current directory.

    Args:
      path: the file.
      what: what the file should be, for the message.

    Raises:
      ValueError: the file does not exist, or it raised an error.
    """
    path = path.expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ValueError(f"expected {what}; got {shorten(path, 150)}, which does not exist")
    for folder in (str(Path.cwd()), str(path.parent)):
        if folder not in sys.path:
            sys.path.append(folder)
    # a file may have the name of a package, or of a file in another folder
    name = f"imported_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as an import statement would, so that the file's classes can be found
    try:
        call(spec.loader.exec_module, module, path=path, what=what)
    except ValueError:
        del sys.modules[name]
        raise
    return module


def call(function: Callable[..., Any], *arguments: Any, path: Path, what: str) -> Any:
    """Call a function of a user's file; an error is a ValueError that names the file and the line.

    Args:
      function: the function.
      *arguments: its arguments.
      path: the resolved path of the file.
      what: what the file should be, for the message.
    """
    try:
        return function(*arguments)
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f" in line {lines[-1]}" if lines else ""
        raise ValueError(
            f"expected {what}; got {shorten(path, 150)}, which failed{where}: {describe_error(error)}"
        ) from error
