"""Lossless compression of discrete data by a flow: as many bits as the flow's own bits/dim say.

docs/compression.md explains how it works.
"""

import functools
import hashlib
import json
import math
import operator
import platform
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer
from numpy.typing import ArrayLike

import realnvp_jax
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.compression import file, grid
from realnvp_jax.compression.bits import LARGEST_SIZE, BitStack
from realnvp_jax.compression.bits_back import BitsBack
from realnvp_jax.compression.exact import padded_call
from realnvp_jax.compression.file import Header
from realnvp_jax.compression.grid import ImpossibleError
from realnvp_jax.compression.images import Coder, Pixels, Progress, bits_to_start, decode, encode, stored_first
from realnvp_jax.compression.sequential import Sequential
from realnvp_jax.models import inputs
from realnvp_jax.models.arguments import at_least
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.models.flow_data import flow_to_data
from realnvp_jax.random import root_key
from realnvp_jax.text import shorten

BATCH_SIZE = 32
_TRAINING_ONLY = ("memory", "unroll", "dtype")  # fields on which the density does not depend
_PROBE_TOLERANCE = 1e-9  # relative, of a log_prob in double precision


def _no_progress(count: int) -> None:
    return None


def compress(
    flow: Flow,
    params: Params,
    x: ArrayLike,
    context: ArrayLike | None = None,
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = _no_progress,
) -> bytes:
    """Compress images, or other discrete data, without loss.

    The size is close to the sum of the flow's own bits per dimension over the images. A few images, at first, are
    stored without the flow; hence the more images, the better. Neither the flow nor its parameters are in the result.

    `decompress` needs the same flow and parameters, and the same results of double-precision arithmetic on the CPU.
    Those of another kind of processor, or of another version of JAX, may differ. Then `decompress` raises an error; it
    never returns wrong values.

    Args:
      flow: a flow of discrete data: an image flow with any transform, Glow, PixelCNN.
      params: its parameters.
      x: integers in {0, ..., levels - 1}, (*batch, *event_shape).
      context: what a conditional flow is conditioned on, (*batch, context_size); it becomes part of the result.
      batch_size: number of images that are coded together (more than 65,536 count as 65,536): more take more memory,
        and fewer are slower.
      progress: called with the number of images, whenever some have been compressed.

    Raises:
      TypeError: x does not hold integers.
      ValueError: a pixel or a shape is wrong; the flow has no levels, or a part that compression does not know; or the
        package constriction is not installed.
    """
    return compress_named(flow, params, x, context, (), batch_size=batch_size, progress=progress)


def compress_named(
    flow: Flow,
    params: Params,
    x: ArrayLike,
    context: ArrayLike | None,
    names: Sequence[str],
    *,
    batch_size: int = BATCH_SIZE,
    progress: Progress = _no_progress,
) -> bytes:
    """`compress`, with the names of the images, which become part of the result."""
    at_least(1, batch_size=batch_size)
    batch_size = min(operator.index(batch_size), file.LARGEST_BATCH)
    for name in names:
        if not file.is_inside(name):
            raise ValueError(
                f"expected names of pictures inside of a folder, on every system; got {shorten(name)}: rename it"
            )
    levels = inputs.check_discrete(flow.levels)
    if levels > LARGEST_SIZE:
        raise ValueError(f"expected at most {LARGEST_SIZE} levels, as many as the coder can tell apart; got {levels}")
    pixels, context, batch = inputs.pixel_batch(x, context, flow.event_shape, flow.context_size, levels)
    images = np.asarray(pixels, np.int64)
    condition = None if context is None else np.asarray(context, np.float32)
    dtype = np.asarray(x).dtype
    dtype = dtype if jnp.issubdtype(dtype, jnp.integer) else np.dtype(np.int64)
    text = "\0".join(names).encode(errors="surrogateescape")
    hashes = _hash_of_flow(flow), _hash_of_params(params)
    with _exact_arithmetic():
        coder, probe = _coder(flow, params, batch_size)
    own = _own_bits(flow, params, images, condition, batch_size)
    with _exact_arithmetic():
        first = _stored_first(coder, images, condition, own, levels)
        bits, groups, last = encode(coder, images, condition, first, levels, batch_size, progress)
    header = Header(
        *hashes,
        batch=tuple(batch),
        event_shape=flow.event_shape,
        dtype=dtype.name,
        batch_size=batch_size,
        first=tuple(first),
        last=tuple(last),
        groups=file.run_lengths(groups),
        context=_deflated(b"" if condition is None else condition.astype("<f4").tobytes()),
        names=_deflated(text),
        pixels=file.checksum(images),
        constants=_constants(),
        bits_per_dim=_mean(own),
        first_bits_per_dim=_mean(own[first]),
        probe=probe,
        versions=_versions(),
    )
    return file.pack(header, bits.words())


def decompress(
    flow: Flow, params: Params, data: bytes, *, progress: Progress = _no_progress
) -> Integer[np.ndarray, "*shape"]:
    """Undo `compress`: the same array, to the bit.

    Args:
      flow: the flow.
      params: its parameters.
      data: what `compress` returned.
      progress: called with the number of images, whenever some have been decompressed.

    Raises:
      ValueError: the data are damaged, or not those of `compress`; another flow or other parameters compressed them; or
        this machine computes the flow differently from the one that compressed them.
    """
    header, words = file.unpack(data)
    _check_flow(flow, params, header)
    condition = None
    if flow.context_size:
        size = 4 * header.num_images * flow.context_size
        condition = np.frombuffer(file.inflated(header.context, size), "<f4").reshape(-1, flow.context_size)
    with _exact_arithmetic():
        coder, probe = _coder(flow, params, header.batch_size)
        if not np.isclose(probe, header.probe, rtol=_PROBE_TOLERANCE, atol=_PROBE_TOLERANCE, equal_nan=True):
            raise _other_arithmetic(header, f"a log_prob of {probe:.9g}, not {header.probe:.9g}, for the probe image")
        try:
            images = decode(coder, BitStack(words), condition, header, inputs.check_discrete(flow.levels), progress)
        except ImpossibleError:
            raise _other_arithmetic(header, "other bits") from None
    if file.checksum(images) != header.pixels:
        raise _other_arithmetic(header, "images with another checksum")
    return images.astype(jnp.dtype(header.dtype)).reshape(header.batch + header.event_shape)


@contextmanager
def _exact_arithmetic() -> Iterator[None]:
    """Double precision on the CPU, whatever other devices there are."""
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        raise ValueError(
            "expected JAX to have its CPU backend, on which compression computes; got none: leave out JAX_PLATFORMS, "
            "or add cpu to it"
        ) from None
    with jax.enable_x64(True), jax.default_device(cpu):
        yield


def _coder(flow: Flow, params: Params, batch_size: int) -> tuple[Coder, float]:
    """(what codes images by the flow, log_prob of the probe image)."""
    arrays = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), inputs.checked_params(params))
    variables = jax.device_put(arrays, jax.local_devices(backend="cpu")[0])
    levels = inputs.check_discrete(flow.levels)
    ramp = np.linspace(0.25, levels - 0.25, flow.num_dims).reshape(flow.event_shape)
    context = np.zeros(flow.context_size) if flow.context_size else None
    probe = float(flow.log_prob(variables, ramp, context))
    kind = Sequential if isinstance(flow.bijection, Autoregressive) else BitsBack
    return kind(flow, variables, batch_size), probe


def _own_bits(flow: Flow, params: Params, images: Pixels, context: Any, batch_size: int) -> Float[np.ndarray, " n"]:
    """The flow's own bits/dim of each image, for one dequantization; log2(levels) where its density is 0."""
    found = []
    for number, start in enumerate(range(0, len(images), batch_size)):
        rows = slice(start, start + batch_size)
        own = functools.partial(flow.bits_per_dim, params, jax.random.fold_in(root_key(0), number))
        found.append(padded_call(own, batch_size, images[rows], None if context is None else context[rows]))
    bits = np.concatenate(found).astype(np.float64) if found else np.zeros(0)
    return np.where(np.isfinite(bits), bits, math.log2(inputs.check_discrete(flow.levels)))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _stored_first(coder: Coder, images: Pixels, context: Any, own: Float[np.ndarray, " n"], levels: int) -> list[int]:
    """The images at the bottom of the stack."""
    raw = math.log2(levels)
    by_flow = np.flatnonzero(own < raw)
    if not len(by_flow):
        return list(range(len(images)))
    some = by_flow[:1]
    needed = bits_to_start(coder, images[some], None if context is None else context[some])
    return stored_first(own, needed, raw, images[0].size)


def _check_flow(flow: Flow, params: Params, header: Header) -> None:
    """Raise ValueError unless the file was compressed by this flow with these parameters."""
    if header.constants != _constants():
        raise ValueError(
            f"expected the constants {_constants()} of this version; got {header.constants}: decompress the file with "
            f"the version that wrote it ({header.versions})"
        )
    if header.flow != _hash_of_flow(flow) or header.event_shape != flow.event_shape:
        raise ValueError(
            f"expected the flow that compressed the file, of images of shape {header.event_shape}; got another, "
            f"{shorten(flow, 150)}"
        )
    if header.params != _hash_of_params(params):
        raise ValueError(
            "expected the parameters that compressed the file; got others of the same flow: decompress it with the "
            "same step of the same run"
        )


def _other_arithmetic(header: Header, what: str) -> ValueError:
    return ValueError(
        f"expected a machine that computes this flow as the one that compressed the file did; got {what}: decompress "
        f"it where it was compressed, by {shorten(header.versions, 100)}; this is {shorten(_versions(), 100)}"
    )


def _constants() -> tuple[int, ...]:
    return grid.STEP_BITS, grid.BIN_BITS


def _versions() -> str:
    return f"realnvp_jax {realnvp_jax.__version__}, JAX {jax.__version__}, {platform.machine()} {_processor()}".strip()


def _processor() -> str:
    """The processor's model, where Linux tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def _hash_of_flow(flow: Flow) -> bytes:
    return _hash_of_description(flow, repr(flow))  # equal flows can have different descriptions, by alpha=0 and 0.0


@functools.lru_cache(maxsize=64)  # describing a flow traces it, which can take longer than compressing a few images
def _hash_of_description(flow: Flow, text: str) -> bytes:
    del text
    return _hash(json.dumps(_of_density(flow_to_data(flow)), sort_keys=True).encode())


def _of_density(data: Any) -> Any:
    """The description of a flow without the fields that only concern training."""
    if isinstance(data, dict):
        return {name: _of_density(value) for name, value in data.items() if name not in _TRAINING_ONLY}
    return [_of_density(value) for value in data] if isinstance(data, list) else data


def _hash_of_params(params: Params) -> bytes:
    leaves = jax.tree_util.tree_leaves_with_path(inputs.checked_params(params))
    named = [(f"{jax.tree_util.keystr(path)} {np.shape(leaf)}", np.asarray(leaf, "<f8")) for path, leaf in leaves]
    return _hash(b"".join(name.encode() + leaf.tobytes() for name, leaf in sorted(named, key=lambda pair: pair[0])))


def _deflated(content: bytes) -> bytes:
    return zlib.compress(content, 9) if content else b""


def _hash(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:8]
