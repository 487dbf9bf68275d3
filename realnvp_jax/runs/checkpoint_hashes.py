"""The hashes that a checkpoint keeps of its own contents, since damaged files can be restored without an error."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def sha256_of_arrays(tree: Any) -> str:
    """The hash of the names, dtypes, shapes and values of all arrays."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def sha256_of_meta(meta: dict[str, Any]) -> str:
    """The hash of everything in a meta except this hash itself."""
    hashes = {name: value for name, value in meta["sha256"].items() if name != "meta"}
    return hashlib.sha256(json.dumps({**meta, "sha256": hashes}, sort_keys=True).encode()).hexdigest()
