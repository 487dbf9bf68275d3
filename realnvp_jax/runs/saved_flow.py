"""`save`: a flow and its parameters as a folder of config.json and model.safetensors.

config.json holds the flow as data (`models.flow_data`), the format version, and hashes of the description and of the
parameters. model.safetensors holds the leaves of the parameters, each under its path, such as "params/...". Many
parameters are spread over several such files, model-00001-of-00002.safetensors and so on. Reading the files executes no
code from them.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

import realnvp_jax
from realnvp_jax.models.arguments import at_least
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.flow_data import flow_from_data, flow_to_data
from realnvp_jax.models.inputs import checked_params
from realnvp_jax.models.singular import check_invertible
from realnvp_jax.random import root_key
from realnvp_jax.runs.files import read_json, sync_directory, write_bytes, write_json
from realnvp_jax.text import describe_error, shorten

FORMAT = 1
_CONFIG, _MODEL = "config.json", "model.safetensors"
_MODELS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_REMEDY = "save the flow again, or put back a copy of it"
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def save(
    path: str | Path, flow: Flow, params: Params, *, overwrite: bool = False, max_file_size: int | None = None
) -> None:
    """Save a flow and its parameters as a folder, from which `load` returns an equal flow and the same parameters.

    This is for flows that were not made from a config; `load` also takes a run's workdir. Your own parts must be
    registered both here and when the folder is loaded. The folder appears complete or not at all.

    Args:
      path: the new folder.
      flow: the flow.
      params: its parameters, whose dtypes are kept.
      overwrite: whether to replace an older folder that `save` made.
      max_file_size: bytes of parameters in one file, None for no limit; a single larger array has a file of its own.

    Raises:
      TypeError: `flow` is not a Flow.
      ValueError: the folder exists; max_file_size is not a positive integer; the flow contains a function or a part
        that is not registered; or the parameters belong to another flow.

    Example:
      >>> import jax, pathlib, realnvp_jax, tempfile
      >>> flow = realnvp_jax.vector_flow(2, num_layers=2, hidden=(8,))
      >>> folder = pathlib.Path(tempfile.mkdtemp()) / "flow"
      >>> realnvp_jax.save(folder, flow, flow.init(jax.random.key(0)))
      >>> realnvp_jax.load(folder)[0] == flow
      True
    """
    write_folder(Path(path).expanduser().absolute(), flow, params, {}, overwrite=overwrite, max_file_size=max_file_size)


def write_folder(
    path: Path,
    flow: Flow,
    params: Params,
    others: Mapping[str, bytes],
    *,
    overwrite: bool = False,
    max_file_size: int | None = None,
) -> None:
    """`save`, with other files beside those of the flow, name -> content. config.json has the hashes of all."""
    check_free(path, overwrite)
    described = flow_to_data(flow)
    files = {**_files(named_leaves(flow, params), max_file_size), **others}
    config = {
        "format": FORMAT,
        "version": realnvp_jax.__version__,
        "flow": described,
        "sha256": {
            "flow": _hash_of_data(described),
            **{name: _sha256(content) for name, content in files.items()},
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    try:
        temporary.mkdir()
        for name, content in files.items():
            write_bytes(temporary / name, content)
        write_json(temporary / _CONFIG, config)
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        sync_directory(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(old, ignore_errors=True)


def is_saved_flow(path: Path) -> bool:
    """Whether a folder is one that `save` made, rather than a run's workdir."""
    return _has_models(path) or "format" in _any_config(path)


def _has_models(path: Path) -> bool:
    return path.is_dir() and any(_MODELS.fullmatch(entry.name) for entry in path.iterdir())


def _any_config(path: Path) -> dict[str, Any]:
    """The content of config.json, of whatever origin; {} if it cannot be read."""
    try:
        content = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def load_saved(path: Path) -> tuple[Flow, dict[str, Any]]:
    """The flow and the parameters in a folder that `save` made.

    Arrays are JAX arrays, except that float64 arrays stay NumPy arrays if JAX is in single precision.

    Raises:
      ValueError: a file is missing or damaged, another version wrote it, a part is not registered, or a matrix of the
        flow is singular.
    """
    flow, hashes = _read_flow(path)
    content = {path / name: _read_checked(path / name, expected) for name, expected in hashes.items()}
    try:
        leaves = {name: _array(entry) for file in content.values() for name, entry in safetensors.deserialize(file)}
        params = params_of(flow, {name: _as_jax(leaf) for name, leaf in leaves.items()})
    except ValueError as error:  # of `params_of`
        raise ValueError(f"{error}, in {shorten(path, 100)}: {_REMEDY}") from None
    except (KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"expected parameters of its flow in {shorten(next(iter(content)), 150)}; got {describe_error(error)}: "
            f"{_REMEDY}"
        ) from None
    check_invertible(flow, params, f"save other parameters in {shorten(path, 80)}")
    return flow, params


def _files(leaves: dict[str, np.ndarray], max_file_size: int | None) -> dict[str, bytes]:
    """Name -> content of the files that hold the leaves."""
    if max_file_size is not None:
        at_least(1, max_file_size=max_file_size)
    return {name: safetensors.numpy.save(part) for name, part in divided(leaves, max_file_size).items()}


def divided(leaves: Mapping[str, np.ndarray], max_file_size: int | None) -> dict[str, dict[str, np.ndarray]]:
    """Name of a file -> the leaves in it."""
    parts, size = [{}], 0
    for name, leaf in leaves.items():
        if max_file_size is not None and parts[-1] and size + leaf.nbytes > max_file_size:
            parts.append({})
            size = 0
        parts[-1][name] = leaf
        size += leaf.nbytes
    if len(parts) == 1:
        return {_MODEL: parts[0]}
    count = len(parts)
    return {f"model-{number:05d}-of-{count:05d}.safetensors": part for number, part in enumerate(parts, start=1)}


def _read_checked(file: Path, expected: str) -> bytes:
    """The content of a file with parameters, which has the expected hash."""
    if not file.is_file():
        raise ValueError(f"expected {file.name} in {shorten(file.parent, 150)}; got none: {_REMEDY}")
    content = file.read_bytes()
    if _sha256(content) != expected:
        raise ValueError(f"expected {shorten(file, 150)} as it was saved; got other bytes: {_REMEDY}")
    return content


def _read_flow(path: Path) -> tuple[Flow, dict[str, str]]:
    """(the flow, name -> hash of the files with its parameters)."""
    config = path / _CONFIG
    if not config.is_file():
        raise ValueError(f"expected {_CONFIG} in {shorten(path, 150)}; got none: {_REMEDY}")
    content = read_json(config, _REMEDY)
    if "format" not in content:
        raise ValueError(f"expected a flow in {shorten(config, 150)}, as save or publish write it; got something else")
    if content.get("format") != FORMAT:
        raise ValueError(
            f"expected format {FORMAT} in {shorten(config, 150)}; got {shorten(content['format'])}, written by "
            f"realnvp_jax {shorten(content.get('version'))}: use that version"
        )
    hashes = content.get("sha256")
    if not isinstance(hashes, dict) or hashes.get("flow") != _hash_of_data(content.get("flow")):
        raise ValueError(f"expected the flow in {shorten(config, 150)} as it was saved; got a changed one: {_REMEDY}")
    files = {name: str(value) for name, value in hashes.items() if _MODELS.fullmatch(name)}
    return flow_from_data(content["flow"]), files or {_MODEL: ""}


def check_free(path: Path, overwrite: bool) -> None:
    """Raise ValueError if writing to the path would destroy anything other than what `write_folder` wrote."""
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        raise ValueError(
            f"expected a new folder; got {shorten(path, 150)}, which exists: choose another, or overwrite it with "
            "overwrite=True or --overwrite"
        )
    if path.is_symlink():
        raise ValueError(f"expected a folder to overwrite; got {shorten(path, 150)}, a symbolic link: name its target")
    names = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
    config = _any_config(path)
    hashes = config.get("sha256")
    written = {name: hashes[name] for name in hashes if name != "flow"} if isinstance(hashes, dict) else {}
    if "format" not in config or not set(names) <= {_CONFIG, _MODEL, *written}:
        raise ValueError(
            f"expected a folder that save or publish made, with its {_CONFIG}, {_MODEL} and nothing else, "
            f"to overwrite; got {shorten(path, 150)}: choose another"
        )
    for name, digest in written.items():
        file = path / name
        if not _MODELS.fullmatch(name) and file.is_file() and _sha256(file.read_bytes()) != digest:
            raise ValueError(
                f"expected {shorten(file, 150)} as it was written, to overwrite it; got a changed file: move it"
            )


def _expected(flow: Flow) -> dict[tuple[str, ...], Any]:
    """Path -> shape and dtype of every leaf, including empty collections."""
    target = jax.eval_shape(flow.init, root_key(0))
    return dict(flax.traverse_util.flatten_dict(target, keep_empty_nodes=True))


def _is_leaf(node: Any) -> bool:
    return node is not flax.traverse_util.empty_node


def named_leaves(flow: Flow, params: Params) -> dict[str, np.ndarray]:
    """Name -> array of every parameter, as model.safetensors holds them.

    Raises:
      ValueError: the parameters belong to another flow, or are not floating-point numbers.
    """
    flat: dict[tuple[str, ...], Any] = dict(flax.traverse_util.flatten_dict(checked_params(params)))
    leaves = {"/".join(path): np.asarray(leaf, order="C") for path, leaf in flat.items()}
    _check_shapes(_expected(flow), leaves)
    for name, leaf in leaves.items():
        if leaf.dtype.name not in _DTYPES.values():
            raise ValueError(f"expected parameters of {', '.join(_DTYPES.values())}; got {leaf.dtype} in {name!r}")
    return leaves


def _check_shapes(expected: dict[tuple[str, ...], Any], leaves: Mapping[str, Any]) -> None:
    """Raise ValueError unless the leaves have the names and shapes of the flow's parameters."""
    shapes = {"/".join(path): leaf.shape for path, leaf in expected.items() if _is_leaf(leaf)}
    for name, shape in shapes.items():
        if name not in leaves:
            raise ValueError(f"expected parameters of this flow; got none called {shorten(name, 100)}")
        if leaves[name].shape != shape:
            raise ValueError(
                f"expected {shorten(name, 100)} of shape {shape}, as in this flow; got {leaves[name].shape}"
            )
    for name in leaves:
        if name not in shapes:
            raise ValueError(f"expected only parameters of this flow; got another, {shorten(name, 100)}")


def params_of(flow: Flow, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `named_leaves`: the dict of parameters, with the empty collections that files cannot hold."""
    expected = _expected(flow)
    _check_shapes(expected, leaves)
    flat = {path: leaves["/".join(path)] if _is_leaf(leaf) else leaf for path, leaf in expected.items()}
    return flax.traverse_util.unflatten_dict(flat)


def _array(entry: dict[str, Any]) -> np.ndarray:
    dtype = jnp.dtype(_DTYPES[entry["dtype"]])
    return np.frombuffer(entry["data"], dtype).reshape(entry["shape"])


def _as_jax(leaf: np.ndarray) -> Any:
    is_kept = jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype  # False for float64 in single precision
    return jnp.asarray(leaf) if is_kept else np.array(leaf)


def _hash_of_data(data: Any) -> str:
    return _sha256(json.dumps(data, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
