"""Splits of any data set of vectors, checked, with the context columns separated from the modelled ones.

Data are refused where their density would be meaningless or singular: missing or infinite values, constant columns,
columns with the same values, discrete columns, values that float32 cannot tell apart, too few columns.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from realnvp_jax.checks import check_distinct, check_finite, check_not_constant, check_scale
from realnvp_jax.data.dataset import DataSet
from realnvp_jax.data.examples import STREAMS, Examples, Splits
from realnvp_jax.data.splits import parse_splits, part_of
from realnvp_jax.data.vectors import discrete
from realnvp_jax.data.vectors.columns import choose_columns, numbered, unknown_column
from realnvp_jax.data.vectors.table_files import TableExamples
from realnvp_jax.text import shorten


@dataclasses.dataclass(frozen=True)
class VectorOptions:
    """How to treat the columns of a data set: the keys of `config.dataset` that all data sets of vectors read.

    Attributes:
      columns: names of the columns to keep besides those of the context; () for all.
      drop: names of the columns to leave out.
      context: names of the columns that the others are conditioned on, including one-hot columns.
      discrete: what to do about discrete columns, one of `discrete.CHOICES`.
      seed: seed of the noise that dequantizes them.
    """

    columns: Sequence[str] = ()
    drop: Sequence[str] = ()
    context: Sequence[str] = ()
    discrete: str = "refuse"
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of several splits.

    Attributes:
      columns: names of the columns.
      parts: the rows of each split, numbers [n, D] as they were loaded.
      taken: where they were taken from, as in `Splits.parts`.
      unused: names of the columns that were left out.
      num_dropped: number of rows that were dropped because a value is missing.
      num_rows: number of rows before that.
    """

    columns: tuple[str, ...]
    parts: Mapping[str, np.ndarray]
    taken: Mapping[str, tuple[str, range]]
    unused: tuple[str, ...]
    num_dropped: int
    num_rows: int


def load_vectors(
    dataset: DataSet, split_names: Mapping[str, str], options: VectorOptions | None = None, min_columns: int = 2
) -> Splits:
    """Load or generate the three splits of a data set of vectors.

    Args:
      dataset: the data set.
      split_names: "train", "validation" and "test", each with a split or a part of one, such as "all[:80%]".
      options: how to treat the columns; None to keep all columns and refuse discrete ones.
      min_columns: the smallest number of columns that are not conditioned on; a coupling layer needs two.

    Raises:
      ValueError: the data do not exist, or cannot have a density; a split or a column is unknown.
    """
    options = options or VectorOptions()
    if options.discrete not in discrete.CHOICES:
        raise ValueError(f"expected dataset.discrete to be one of {discrete.CHOICES}; got {shorten(options.discrete)}")
    rows = load_rows(dataset, split_names, options)
    columns, parts = rows.columns, rows.parts
    title = f"the table {shorten(dataset.title, 60)}"
    for name in options.context:
        if name not in columns:
            raise unknown_column(name, columns, "dataset.context", title)
    conditions = [columns.index(name) for name in options.context]
    modelled = sorted({*range(len(columns))} - {*conditions})
    train = parts["train"]
    found = [] if options.discrete == "continuous" else discrete.find_discrete(train[:, modelled])
    found = [modelled[i] for i in found]
    notes = _notes(rows)
    grids: dict[str, discrete.Grid] = {}
    if found and options.discrete == "refuse":
        raise discrete.discrete_error(train, columns, found)
    if found and options.discrete == "drop":
        modelled = sorted({*modelled} - {*found})
        names = shorten(", ".join(columns[i] for i in found), 150)
        notes.append(f"discrete columns left out: {names}")
    if found and options.discrete == "dequantize":
        everything = np.concatenate([parts[role][:, found] for role in parts])
        grids = {columns[i]: discrete.find_grid(everything[:, k], columns[i]) for k, i in enumerate(found)}
        shown = ", ".join(f"{column} ({grid.spacing:.6g})" for column, grid in grids.items())
        notes.append(f"discrete columns, with uniform noise as wide as their spacing: {shorten(shown, 150)}")
    if len(modelled) < min_columns:
        need = ", for a coupling layer (an autoregressive_flow takes one)" if min_columns == 2 else ""
        raise ValueError(
            f"expected at least {min_columns} columns besides those of dataset.context{need}; got {len(modelled)}"
            + (f" and {len(found)} that are discrete" if options.discrete == "drop" and found else "")
        )
    names = tuple(columns[i] for i in modelled)
    check_distinct(train[:, modelled], names)
    splits = {}
    for role in STREAMS:
        noisy = discrete.dequantize_columns(parts[role][:, modelled], names, grids, (options.seed, STREAMS[role]))
        context = parts[role][:, conditions].astype(np.float32) if conditions else None
        splits[role] = Examples(noisy.astype(np.float32, copy=False), context)
    used = tuple(columns[i] for i in sorted([*modelled, *conditions]))
    others = sorted({*range(len(columns))} - {*modelled, *conditions})
    return Splits(
        **splits,
        columns=names,
        all_columns=used,
        unused_columns=(*rows.unused, *(columns[i] for i in others)),
        grids={column: (grid.origin, grid.spacing) for column, grid in grids.items()},
        notes=tuple(notes),
        parts=rows.taken,
    )


def load_rows(dataset: DataSet, split_names: Mapping[str, str], options: VectorOptions | None = None) -> Rows:
    """The rows of several splits.

    Raises:
      ValueError: as in `load_vectors`.
    """
    options = options or VectorOptions()
    wholes: dict[str, TableExamples] = {}
    parts: dict[str, np.ndarray] = {}
    taken: dict[str, tuple[str, range]] = {}
    for role, bounds in parse_splits(dataset, split_names).items():
        if bounds[0] not in wholes:
            wholes[bounds[0]] = _load(dataset, bounds[0], options)
        whole = wholes[bounds[0]]
        part = part_of(len(whole), bounds)
        parts[role], taken[role] = whole.x[part], (bounds[0], range(len(whole))[part])
        if len(parts[role]) == 0:
            raise ValueError(f"expected rows in dataset.{role}={split_names[role]!r}; got none of {len(whole)}")
        with np.errstate(over="ignore"):
            check_finite(parts[role].astype(np.float32, copy=False), whole.columns)
    columns, *others = (whole.columns for whole in wholes.values())
    for other in others:
        if other != columns:
            raise ValueError(
                f"expected the same columns in all splits of {shorten(dataset.title, 100)}; "
                f"got {shorten(', '.join(columns), 80)} and {shorten(', '.join(other), 80)}"
            )
    if "train" in parts:
        _check_columns(parts["train"], columns, getattr(dataset, "categories", ()))
    num_dropped = sum(whole.num_dropped for whole in wholes.values())
    unused = next(iter(wholes.values())).unused
    return Rows(columns, parts, taken, unused, num_dropped, num_dropped + sum(map(len, wholes.values())))


def _check_columns(train: np.ndarray, columns: Sequence[str], one_hot: Sequence[str]) -> None:
    """Raise ValueError for columns that are constant, unless one-hot, or of a scale that float32 cannot hold."""
    if one_hot:
        categories = set(one_hot)
        kept = [i for i, column in enumerate(columns) if column not in categories]
        train, columns = train[:, kept], [columns[i] for i in kept]
    check_not_constant(train, columns)
    if len(train) > 1:
        check_scale(train, columns)


def _load(dataset: DataSet, split: str, options: VectorOptions) -> TableExamples:
    """A whole split, with the columns that the options choose."""
    loaded = dataset.load(split)
    title = shorten(dataset.title, 100)
    if not isinstance(loaded, Examples) or loaded.context is not None or loaded.labels is not None:
        raise ValueError(
            f"expected Examples with only x and columns from {title}; got more: "
            "give a context as columns of x, and name these in dataset.context"
        )
    x = np.asarray(loaded.x)
    if x.ndim != 2 or x.dtype.kind not in "biuf":
        raise ValueError(f"expected rows of numbers [n, D] in {title}; got {shorten(x.dtype)} of shape {x.shape}")
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float64)
    columns = tuple(loaded.columns) or numbered(x.shape[1])
    if len(set(columns)) != x.shape[1]:
        raise ValueError(
            f"expected distinct names for the {x.shape[1]} columns of {title}; got {shorten(', '.join(columns), 100)}"
        )
    if isinstance(loaded, TableExamples):  # the table has already chosen its columns
        return dataclasses.replace(loaded, x=x, columns=columns)
    chosen = choose_columns(columns, options.columns, options.drop, options.context, title)
    kept = set(chosen)
    unused = tuple(column for i, column in enumerate(columns) if i not in kept)
    return TableExamples(x[:, chosen] if unused else x, columns=tuple(columns[i] for i in chosen), unused=unused)


def _notes(rows: Rows) -> list[str]:
    notes = []
    if rows.unused:
        notes.append(f"columns left out: {shorten(', '.join(rows.unused), 150)}")
    if rows.num_dropped:
        notes.append(f"rows dropped because a value is missing: {rows.num_dropped:,} of {rows.num_rows:,}")
    return notes
