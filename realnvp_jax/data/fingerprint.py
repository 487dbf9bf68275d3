"""What identifies the data of a run: the names of the columns, the numbers of examples, and hashes of them.

A run saves the fingerprint of its whole splits, which reveals when it is continued or evaluated with other data.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.data.vectors.columns import match_columns
from realnvp_jax.text import shorten

_ROLES = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What identifies three splits.

    Attributes:
      columns: names of all columns of a table in its order, including those that are conditioned on; () for images.
      context: names of the columns that the others are conditioned on.
      examples: numbers of examples of "train", "validation" and "test".
      sha256: hashes of these three, including contexts; or, from the cache, of the images that they are taken from.
      unused: names of the columns of the table that were left out.
      grids: (origin, spacing) of each discrete column that noise was added to.
    """

    columns: tuple[str, ...]
    context: tuple[str, ...]
    examples: Mapping[str, int]
    sha256: Mapping[str, str]
    unused: tuple[str, ...] = ()
    grids: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)

    @property
    def modelled(self) -> tuple[str, ...]:
        """Names of the modelled columns."""
        return _without(self.columns, self.context)


def fingerprint(splits: Splits) -> Fingerprint:
    """The fingerprint of whole splits, before `evaluate.num_examples` truncates them."""
    parts = {role: getattr(splits, role) for role in _ROLES}
    return Fingerprint(
        splits.all_columns,
        _without(splits.all_columns, splits.columns),
        {role: len(part) for role, part in parts.items()},
        dict(splits.sha256) or {role: sha256_of_examples(part) for role, part in parts.items()},
        splits.unused_columns,
        splits.grids,
    )


def sha256_of_examples(examples: Examples) -> str:
    """A hash of examples and their contexts."""
    digest = hashlib.sha256()
    for array in (examples.x, examples.context):
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def by_name(splits: Splits, before: Fingerprint) -> Splits:
    """The splits with their columns in the order of a fingerprint.

    If as many columns are new as are missing, each missing column counts as renamed to the new one in its place.
    """
    if not before.columns:
        return splits
    gone, new = _gone_and_new(before, splits)
    renamed = dict(zip(gone, new, strict=True)) if len(gone) == len(new) else {}
    columns, all_columns = (
        tuple(renamed.get(column, column) for column in names) for names in (before.modelled, before.columns)
    )
    places = match_columns(columns, splits.columns)
    if places is None or len(places) != len(splits.columns):
        return splits
    parts = {role: dataclasses.replace(getattr(splits, role), x=getattr(splits, role).x[:, places]) for role in _ROLES}
    return dataclasses.replace(splits, **parts, columns=columns, all_columns=all_columns)


def difference(before: Fingerprint, splits: Splits) -> str:
    """What has changed in the splits, in a few words; "" if nothing has."""
    gone, new = _gone_and_new(before, splits)
    now = fingerprint(by_name(splits, before))
    found = []
    if gone and len(gone) == len(new):
        found.append(f"column {shorten(gone[0], 30)} that is now {shorten(new[0], 30)}{_more(gone)}")
    elif gone or new:
        found += [f"no column {shorten(gone[0], 30)} any more{_more(gone)}"] if gone else []
        found += [f"a new column {shorten(new[0], 30)}{_more(new)}"] if new else []
    kind = "rows" if before.columns else "examples"
    added = sum(now.examples.values()) - sum(before.examples.values()) if before.examples else 0
    if added:
        found.append(f"{abs(added):,} {'more' if added > 0 else 'fewer'} {kind} in the three splits together")
    if not found and now.sha256 != before.sha256:
        same = before.columns and fingerprint(splits).sha256 == before.sha256
        names = f"{shorten(', '.join(before.modelled), 40)} that are now {shorten(', '.join(splits.columns), 40)}"
        found.append(f"columns {names}" if same else "other values" if before.columns else "other pixels or labels")
    return " and ".join(found)


def _gone_and_new(before: Fingerprint, splits: Splits) -> tuple[list[str], list[str]]:
    """Names of the columns that are missing, and of those that are new; () and () for columns without names."""
    if match_columns(before.modelled, splits.columns) is not None and len(before.modelled) == len(splits.columns):
        return [], []
    return list(_without(before.modelled, splits.columns)), list(_without(splits.columns, before.modelled))


def _without(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    left_out = set(others)
    return tuple(name for name in names if name not in left_out)


def _more(names: list[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
