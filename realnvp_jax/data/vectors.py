"""Splits of toy data and of tables, with the columns that are conditioned on set apart."""

from collections.abc import Sequence

import numpy as np

from realnvp_jax.data.examples import STREAMS, Examples, Splits
from realnvp_jax.data.tables import TABLES, load_table_splits
from realnvp_jax.data.toy import TOY, sample_toy

VECTORS = (*TOY, *TABLES)

_NUM_TOY = {"validation": 20_000, "test": 100_000}


def is_vectors(name: str) -> bool:
    """Whether this is the name of toy data or of a table."""
    return name in VECTORS


def load_vectors(
    name: str,
    *,
    path: str = "",
    data_dir: str = "",
    split_names: dict[str, str],
    seed: int = 0,
    num_train: int = 100_000,
    context_columns: Sequence[str] = (),
    min_columns: int = 2,
) -> Splits:
    """Load or generate the three splits of a data set of vectors.

    Args:
      name: of toy data (`data.toy`) or of a table (`data.tables`).
      path: file of the table named "table".
      data_dir: directory of the UCI tables.
      split_names: "train", "validation" and "test" to the names of the splits; toy data have just these.
      seed: of toy data, and of the order of a table's rows before they are split.
      num_train: training points of toy data; there are 20,000 for validation and 100,000 for the test.
      context_columns: names of the columns that the others are conditioned on.
      min_columns: how many others there are at least; a coupling layer needs two.

    Raises:
      ValueError: the data are not there, or not fit for a density; a split or a column is unknown.
    """
    if name in TOY:
        if num_train < 1:
            raise ValueError(f"expected dataset.num_train of at least 1; got {num_train}")
        parts = {}
        for role, split in split_names.items():
            if split not in STREAMS:
                raise ValueError(f"expected dataset.{role} of toy data to be one of {tuple(STREAMS)}; got {split!r}")
            parts[role] = sample_toy(name, _NUM_TOY.get(split, num_train), (seed, STREAMS[split]))
        columns = ("x", "y")
    else:
        columns, parts = load_table_splits(name, path, data_dir, split_names, seed)
    return _set_context_apart(parts, columns, context_columns, min_columns)


def _set_context_apart(
    parts: dict[str, np.ndarray], columns: Sequence[str], names: Sequence[str], min_columns: int
) -> Splits:
    for name in names:
        if name not in columns:
            shown = ", ".join(map(repr, columns[:8])) + (", ..." if len(columns) > 8 else "")
            raise ValueError(f"expected dataset.context to name columns of the table, of {shown}; got {name!r}")
    conditions = [columns.index(name) for name in names]
    modelled = [i for i in range(len(columns)) if i not in conditions]
    if len(modelled) < min_columns:
        need = ", for a coupling layer (an autoregressive_flow takes one)" if min_columns == 2 else ""
        raise ValueError(
            f"expected at least {min_columns} columns besides those of dataset.context{need}; got {len(modelled)}"
        )
    splits = (
        Examples(parts[role][:, modelled], parts[role][:, conditions] if conditions else None)
        for role in ("train", "validation", "test")
    )
    return Splits(*splits, columns=tuple(columns[i] for i in modelled), all_columns=tuple(columns))
