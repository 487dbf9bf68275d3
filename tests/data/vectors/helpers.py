"""Splits of tables, and how to write them."""

from pathlib import Path

import numpy as np
import pandas as pd

from realnvp_jax.data.named import find_dataset
from realnvp_jax.data.vectors.loading import load_rows
from realnvp_jax.data.vectors.table_files import Table, read_frame, to_numbers

SPLITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}
PARTS = {"train": "train", "validation": "validation", "test": "test"}


def load_table(name: str, path: str, data_dir: str, split_names: dict[str, str], seed: int):
    """Names of the columns, and the rows of each split."""
    keys = {"name": name, "path": path, "data_dir": data_dir, "seed": seed}
    rows = load_rows(find_dataset(keys, of_images=False), split_names)
    return rows.columns, {role: part.astype(np.float32) for role, part in rows.parts.items()}


def table_of(columns, values) -> Table:
    return Table(tuple(columns), values, np.arange(len(values)), len(values))


def write(path, table: Table):
    frame = pd.DataFrame(table.values, columns=list(table.columns))
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.stem == "arrays":
        np.savez(path, **{name: frame[name].to_numpy() for name in reversed(table.columns)}, columns=table.columns)
    else:
        np.savez(path, x=table.values, columns=np.array(table.columns))
    return path


def import_of_nothing(*arguments):
    raise ImportError


def sorted_rows(x: np.ndarray) -> np.ndarray:
    return x[np.lexsort(x.T)]


def read_table(path, **keys) -> Table:
    """The columns of a file as numbers."""
    path = Path(path)
    return to_numbers(read_frame(path), path, **keys)
