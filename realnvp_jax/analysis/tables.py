"""Read tables for a run's flow from files: match columns by name, encode categories, add noise to discrete columns."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from realnvp_jax.analysis.run import Run
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.vectors.columns import match_columns, numbered
from realnvp_jax.data.vectors.discrete import dequantize_columns
from realnvp_jax.data.vectors.encoding import ColumnError
from realnvp_jax.data.vectors.table_files import Table, read_column, read_frame, to_numbers
from realnvp_jax.models.create import context_columns
from realnvp_jax.text import shorten, split_names

_STREAM = 3  # random stream of the noise; the three splits have 0, 1 and 2


def read_table(run: Run, path: Path, id_column: str = "") -> tuple[Examples, list[str]]:
    """The rows of a table to score under a run's flow, and a name for each.

    The table has the columns that the run was trained on, including those of dataset.context, by name and in any order.
    It may also contain columns that the run left out of its own table, and `id_column`; any others are refused. If the
    columns of either table have no names, columns are matched by position, and a line on stderr says so. Rows with
    missing values are refused, or dropped and counted on stderr, as in the run.

    Args:
      run: the run.
      path: a .csv, .tsv, .txt, .parquet or .npz file.
      id_column: the column whose values name the rows; "" to name rows by their numbers, counted from 0.

    Raises:
      ValueError: the file cannot be read, or does not fit the run.
    """
    frame, file = read_frame(path), shorten(path.name)
    identifiers = read_column(path, id_column) if id_column else list(map(str, range(len(frame))))
    context, categories = _context(run)
    own = tuple(dict.fromkeys(_source(column, context, categories) for column in run.columns()))
    ignored = {*run.unused_columns(), *([id_column] if id_column else [])} - set(own)
    kept = [i for i, column in enumerate(frame.columns) if column not in ignored]
    frame = frame.iloc[:, kept]
    given = list(frame.columns)
    if own:
        frame = frame.iloc[:, _places(own, given, file)]
        frame.columns = list(own)
    else:
        _check_number(run, given, file)
        print(f"columns of {file} are matched by position, since the run does not know their names", file=sys.stderr)
    table = _to_numbers(frame, path, context, categories, run.config.dataset.get("missing", "refuse"))
    num_missing = table.num_rows - len(table.rows)
    if num_missing:
        print(
            f"rows of {file} dropped because a value is missing: {num_missing:,} of {table.num_rows:,}", file=sys.stderr
        )
    conditions = [table.columns.index(name) for name in context_columns(run.config)]
    modelled = [i for i in range(len(table.columns)) if i not in set(conditions)]
    names = [table.columns[i] for i in modelled]
    x = dequantize_columns(table.values[:, modelled], names, run.grids(), (run.config.dataset.seed, _STREAM))
    contexts = table.values[:, conditions].astype(np.float32) if conditions else None
    return Examples(x.astype(np.float32), contexts), [identifiers[row] for row in table.rows]


def read_contexts(run: Run, path: Path) -> tuple[Float32[np.ndarray, "n K"], list[str]]:
    """The rows of a table that samples are conditioned on, and the names of its other columns.

    Raises:
      ValueError: the file cannot be read, or lacks a column of the run's context.
    """
    context, categories = _context(run)
    frame, file = read_frame(path), shorten(path.name)
    given = list(frame.columns)
    places = match_columns(context, given)
    if places is None:
        missing = shorten(", ".join(name for name in context if name not in given), 100)
        raise ValueError(
            f"expected the columns {shorten(', '.join(context), 100)} in {file}; got none called {missing}"
        )
    frame, others = frame.iloc[:, places], [column for i, column in enumerate(given) if i not in set(places)]
    frame.columns = list(context)
    return _to_numbers(frame, path, context, categories).values.astype(np.float32), others


def _to_numbers(frame: Any, path: Path, *arguments: Any) -> Table:
    """As `to_numbers`, with advice for a table that must have the columns of the run."""
    try:
        return to_numbers(frame, path, *arguments)
    except ColumnError as error:
        raise ValueError(
            f"{error.problem}: correct the file, whose columns must be those that the run was trained on"
        ) from None


def context_values(run: Run) -> dict[str, tuple[str, ...]]:
    """The context columns of the run's table, each with its categories; () for a column of numbers."""
    context, categories = _context(run)
    starts = {name: f"{name}=" for name in context}
    return {
        name: tuple(column.removeprefix(start) for column in categories if column.startswith(start))
        for name, start in starts.items()
    }


def context_cells(run: Run, contexts: Float32[np.ndarray, "n K"]) -> dict[str, np.ndarray]:
    """The contexts of a run on a table as columns of the table: numbers, and categories by their names.

    Columns of categories stay one-hot if a row of `contexts` does not choose one of the categories.
    """
    names = context_columns(run.config)
    encoded = dict(zip(names, contexts.T, strict=True))
    cells: dict[str, np.ndarray] = {}
    for name, categories in context_values(run).items():
        columns = {f"{name}={category}": encoded[f"{name}={category}"] for category in categories}
        shares = np.stack(list(columns.values())) if categories else np.empty(0)
        if not categories:
            cells[name] = encoded[name]
        elif ((shares == 0) | (shares == 1)).all() and (shares.sum(axis=0) == 1).all():
            cells[name] = np.array(categories, object)[shares.argmax(axis=0)]
        else:
            cells |= columns
    return cells


def sample_columns(run: Run, samples: np.ndarray, cells: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples [n, D] and the `context_cells` of each as columns, in the order of the run's table."""
    modelled = dict(zip(run.modelled_columns(), samples.T, strict=True))
    context, categories = _context(run)
    order = [_source(column, context, categories) for column in run.columns()]
    columns = {**cells, **modelled}
    return {name: columns[name] for name in dict.fromkeys([*order, *columns]) if name in columns}


def rounded(run: Run, x: np.ndarray) -> np.ndarray:
    """Samples [n, D], with the columns that the run dequantizes rounded to values that they can take."""
    grids = run.grids()
    if not grids:
        return x
    columns = [
        grids[name].round(x[:, i]) if name in grids else x[:, i] for i, name in enumerate(run.modelled_columns())
    ]
    return np.stack(columns, axis=1)


def _context(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the context columns of the run's table, and the one-hot columns of its categories."""
    dataset: Any = run.config.dataset
    return split_names(dataset.context), tuple(dataset.get("categories", ()))


def _source(column: str, context: Sequence[str], categories: Sequence[str]) -> str:
    """The column of a table that a column of a run was made from."""
    if column not in categories:
        return column
    return next(name for name in context if column.startswith(f"{name}="))


def _places(own: Sequence[str], given: Sequence[str], file: str) -> list[int]:
    """The positions of the run's columns in a table, which must have no others."""
    places = match_columns(own, given)
    others = [column for column in given if column not in own]
    if places is None or len(places) != len(given):
        missing = [column for column in own if column not in given]
        got = " and ".join(
            f"{what} {shorten(', '.join(names), 60)}" for what, names in (("no", missing), ("also", others)) if names
        )
        raise ValueError(
            f"expected the run's columns {shorten(', '.join(own), 100)} in {file}, in any order; "
            f"got {got or 'a column twice'}: rename columns, or leave them out"
        )
    if others or tuple(given) == numbered(len(given)):
        print(f"columns of {file} are matched by position, since they or the run's have no names", file=sys.stderr)
    return places


def _check_number(run: Run, given: Sequence[str], file: str) -> None:
    """Raise ValueError unless a table has as many columns as a run, and its context columns."""
    context = context_columns(run.config)
    for name in context:
        if name not in given:
            known = shorten(", ".join(given), 150)
            raise ValueError(f"expected the run's dataset.context, {shorten(name)}, in {file}; got the columns {known}")
    num = len(given) - len(context)
    if num != run.flow.num_dims:
        columns = f"{run.flow.num_dims} columns{' besides those of dataset.context' if context else ''}"
        raise ValueError(f"expected {columns}, as in training, in {file}; got {num}")
