"""Splits of any data set of vectors, checked, with the columns that are conditioned on set apart.

Data are refused where their density would be meaningless or singular: missing or infinite values, constant columns, too
few columns.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from realnvp_jax.checks import check_finite, check_not_constant
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.splits import parse_splits, part_of
from realnvp_jax.data.vectors.columns import numbered
from realnvp_jax.text import shorten


def load_vectors(
    dataset: DataSet, split_names: Mapping[str, str], context_columns: Sequence[str] = (), min_columns: int = 2
) -> Splits:
    """Load or generate the three splits of a data set of vectors.

    Args:
      dataset: which.
      split_names: "train", "validation" and "test" to splits or parts of them, such as "all[:80%]".
      context_columns: names of the columns that the others are conditioned on.
      min_columns: how many others there are at least; a coupling layer needs two.

    Raises:
      ValueError: the data are not there, or not fit for a density; a split or a column is unknown.
    """
    columns, parts = load_rows(dataset, split_names)
    for name in context_columns:
        if name not in columns:
            shown = ", ".join(map(repr, columns[:8])) + (", ..." if len(columns) > 8 else "")
            raise ValueError(f"expected dataset.context to name columns of the table, of {shown}; got {name!r}")
    conditions = [columns.index(name) for name in context_columns]
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
    return Splits(*splits, columns=tuple(columns[i] for i in modelled), all_columns=columns)


def load_rows(dataset: DataSet, split_names: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names of the columns, and float32 [n, D] for each key of `split_names`.

    Raises:
      ValueError: as in `load_vectors`.
    """
    wholes: dict[str, Examples] = {}
    parts: dict[str, np.ndarray] = {}
    for role, bounds in parse_splits(dataset, split_names).items():
        if bounds[0] not in wholes:
            wholes[bounds[0]] = _load(dataset, bounds[0])
        whole = wholes[bounds[0]]
        parts[role] = whole.x[part_of(len(whole), bounds)]
        if len(parts[role]) == 0:
            raise ValueError(f"expected rows in dataset.{role}={split_names[role]!r}; got none of {len(whole)}")
        check_finite(parts[role], whole.columns)
    columns, *others = (whole.columns for whole in wholes.values())
    for other in others:
        if other != columns:
            raise ValueError(
                f"expected the same columns in all splits of {shorten(dataset.title, 100)}; "
                f"got {shorten(', '.join(columns), 80)} and {shorten(', '.join(other), 80)}"
            )
    if "train" in parts:
        check_not_constant(parts["train"], columns)
    return columns, parts


def _load(dataset: DataSet, split: str) -> Examples:
    """A whole split as float32 rows with named columns."""
    loaded = dataset.load(split)
    title = shorten(dataset.title, 100)
    if not isinstance(loaded, Examples) or loaded.context is not None or loaded.labels is not None:
        raise ValueError(
            f"expected Examples of x and columns alone from {title}; got others: "
            "give a context as columns of x, and name these in dataset.context"
        )
    x = np.asarray(loaded.x)
    if x.ndim != 2 or x.dtype.kind not in "biuf":
        raise ValueError(f"expected rows of numbers [n, D] in {title}; got {shorten(x.dtype)} of shape {x.shape}")
    columns = tuple(loaded.columns) or numbered(x.shape[1])
    if len(set(columns)) != x.shape[1]:
        raise ValueError(
            f"expected a name of its own for each of the {x.shape[1]} columns of {title}; "
            f"got {shorten(', '.join(columns), 100)}"
        )
    return Examples(x.astype(np.float32, copy=False), columns=columns)
