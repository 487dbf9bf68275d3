"""Pickled DataFrames, including those of pandas versions before 1.0, which pandas itself no longer reads.

Old pickles name classes that no longer exist, but the table itself is plain data inside them: a BlockManager's state is
(..., ..., ..., {"0.14.1": {"axes": [columns, row labels], "blocks": [{"values": [k, n], "mgr_locs": k places}, ...]}}).
So every pandas class is read as a record of its arguments and state. Unpickling by pandas can run code that the file
contains: only open files from a source that you trust.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.text import shorten

_PLAIN = {
    "numpy": {"_reconstruct", "ndarray", "dtype", "scalar"},
    "builtins": {"slice"},
    "__builtin__": {"slice"},
    "_codecs": {"encode"},
}


class Record:
    """An object of a pandas class: the arguments of its constructor, and its state."""

    def __init__(self, *args: object):
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        package = module.split(".")[0]
        if package == "pandas":
            return Record
        if name in _PLAIN.get(package, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def read_frame(path: Path) -> Any:
    """The pandas DataFrame in a pickle, written by any version of pandas.

    Raises:
      ValueError: the file is not a pickled DataFrame of numbers.
    """
    import pandas as pd

    try:
        frame = pd.read_pickle(path)
    except Exception:  # a moved or changed class can cause an error of any type
        frame = _read_old_frame(path)
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"expected a pickled DataFrame in {shorten(path.name)}; got {type(frame).__name__}")
    return frame


def _read_old_frame(path: Path) -> Any:
    import pandas as pd

    try:
        with path.open("rb") as file:
            unpickler = _PlainUnpickler(file, encoding="latin-1")  # strings of Python 2
            (manager,) = [value for value in unpickler.load().state.values() if isinstance(value, Record)]
        contents = manager.state[3]["0.14.1"]
        columns = [str(column) for column in contents["axes"][0].args[1]["data"]]
        values = np.empty((contents["blocks"][0]["values"].shape[1], len(columns)))
        for block in contents["blocks"]:
            values[:, block["mgr_locs"]] = block["values"].T
    except Exception as error:  # a pickle of anything else can fail anywhere
        raise ValueError(
            f"expected a pickled DataFrame of numbers in {shorten(path.name)}; got {shorten(error, 120)}: "
            "read it with the version of pandas that wrote it, and save it again with a newer one"
        ) from None
    return pd.DataFrame(values, columns=columns)
