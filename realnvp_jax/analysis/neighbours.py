"""Does a flow copy its training data, and do the splits share examples? Nearest neighbours and equal rows."""

import hashlib

import numpy as np
from jaxtyping import Bool, Float, Int, Real

_CHUNK = 2000  # rows of the training data that are compared at a time, or fewer if these have more than
_VALUES = 2**23  # values, 64 MiB in double precision


def nearest(
    queries: Real[np.ndarray, "n d"], rows: Real[np.ndarray, "m d"], unit: float | Float[np.ndarray, " d"] = 1.0
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The index of the nearest of `rows` for each query, and the Euclidean distance to it.

    Args:
      queries: the rows whose neighbours are looked for.
      rows: the rows among which they are looked for; only a part of them is converted to float64 at a time.
      unit: what the values of both are divided by, one number or one for each column.
    """
    queries = np.asarray(queries, np.float64) / unit
    index, smallest = np.zeros(len(queries), int), np.full(len(queries), np.inf)
    chunk = max(1, min(_CHUNK, _VALUES // rows.shape[1]))
    for start in range(0, len(rows), chunk):
        some = np.asarray(rows[start : start + chunk], np.float64) / unit
        # |query|^2, which is missing here, does not change the order.
        squares = np.einsum("ij,ij->i", some, some) - 2 * queries @ some.T
        best = squares.argmin(axis=1)
        least = squares[np.arange(len(queries)), best]
        index = np.where(least < smallest, start + best, index)
        smallest = np.minimum(least, smallest)
    return index, np.linalg.norm(queries - np.asarray(rows[index], np.float64) / unit, axis=1)


def found_in(rows: np.ndarray, others: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Whether each of `rows` equals one of `others` exactly."""
    known = set(_hashes(others))
    return np.array([row in known for row in _hashes(rows)], bool)


def repeated(rows: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Whether each of `rows` equals an earlier one exactly."""
    seen: set[bytes] = set()
    result = []
    for row in _hashes(rows):
        result.append(row in seen)
        seen.add(row)
    return np.array(result, bool)


def _hashes(rows: np.ndarray) -> list[bytes]:
    """A hash of each row, the same for 0 and -0."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if np.issubdtype(flat.dtype, np.floating):
        flat = flat + np.zeros((), flat.dtype)  # 0 for -0
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat]
