"""Files of the user's that register parts."""

import importlib.util
import sys
import traceback
from pathlib import Path

from realnvp_jax.text import describe_error, shorten


def import_file(path: Path) -> None:
    """Run a Python file. It may import modules of its own folder and of the current directory.

    Raises:
      ValueError: the file is not there, or it raised an error.
    """
    path = path.expanduser().resolve()
    if not path.is_file() or path.suffix != ".py":
        raise ValueError(f"expected a Python file that registers parts; got {shorten(path, 150)}: there is none")
    for folder in (str(Path.cwd()), str(path.parent)):
        if folder not in sys.path:
            sys.path.append(folder)
    name = path.stem if path.stem not in sys.modules else f"imported_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # as in an import statement, so that the file's classes can be found
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f" in line {lines[-1]}" if lines else ""
        raise ValueError(
            f"expected a Python file that registers parts; got {shorten(path, 150)}, which failed{where}: "
            f"{describe_error(error)}"
        ) from error
