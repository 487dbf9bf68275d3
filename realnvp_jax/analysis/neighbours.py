"""Does a flow copy its training data, and do the splits share examples? Nearest neighbours and equal rows."""

import hashlib

import numpy as np
from jaxtyping import Bool, Float, Int

_CHUNK = 2000  # rows of the training data that are compared at a time


def nearest(
    queries: Float[np.ndarray, "n d"], rows: Float[np.ndarray, "m d"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The index of the nearest of `rows` for each query, and the Euclidean distance to it."""
    queries = np.asarray(queries, np.float64)
    index, smallest = np.zeros(len(queries), int), np.full(len(queries), np.inf)
    for start in range(0, len(rows), _CHUNK):
        some = np.asarray(rows[start : start + _CHUNK], np.float64)
        squares = (some**2).sum(axis=1) - 2 * queries @ some.T  # plus |query|^2, which does not change the order
        best = squares.argmin(axis=1)
        least = squares[np.arange(len(queries)), best]
        index = np.where(least < smallest, start + best, index)
        smallest = np.minimum(least, smallest)
    return index, np.linalg.norm(queries - np.asarray(rows, np.float64)[index], axis=1)


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
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1) + np.zeros((), rows.dtype))
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat]
