"""Parameters from the variables of the authors' TensorFlow code.

Names inside a coupling:

    bn_in/{beta,mean,var}                      conditioner/norm_in
    resnet/h_in/{weights,biases}               conditioner/conv_in
    resnet/block_<j>/bn_in, h_0, bn_0, out     conditioner/blocks/norm_in, conv_in, norm_out, conv_out [j]
    resnet/skip_in, skip_<j>                   conditioner/blocks/skip [0], [j + 1]
    resnet/skip_<last>, bn_pre_out, out        conditioner/skip_out, norm_out, conv_out
    rescaling_scale or scale                   transform/scale
    bn_out/{mean,var}                          normalization/statistics/{mean,variance}

The authors number the couplings of a scale 0, 1, 2 (checkerboard), 4, 5, 6 (channel-wise) and 3 (the extra
checkerboard coupling of the last scale).
"""

import re
from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from realnvp_jax.models.flow import Flow
from realnvp_jax.models.real_nvp import RealNVP
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.random import root_key

_LEAVES = {
    "weights": ("params", "weights"),
    "biases": ("params", "bias"),
    "magnitude": ("params", "gain"),
    "beta": ("params", "offset"),
    "mean": ("batch_stats", "statistics/mean"),
    "var": ("batch_stats", "statistics/variance"),
}
_STACKS = {  # whether the scale is the last one -> names of its checkerboard and channel-wise stacks
    False: ("before/layers_0", "before/layers_2"),
    True: ("before", "before"),
}
_LAYERS = (  # the authors' name within a coupling -> ours
    (r"bn_in", "conditioner/norm_in"),
    (r"bn_out", "normalization"),
    (r"resnet/h_in", "conditioner/conv_in"),
    (r"resnet/block_\d+/bn_in", "conditioner/blocks/norm_in"),
    (r"resnet/block_\d+/h_0", "conditioner/blocks/conv_in"),
    (r"resnet/block_\d+/bn_0", "conditioner/blocks/norm_out"),
    (r"resnet/block_\d+/out", "conditioner/blocks/conv_out"),
    (r"resnet/bn_pre_out", "conditioner/norm_out"),
    (r"resnet/out", "conditioner/conv_out"),
)


def from_authors(variables: Mapping[str, Any], flow: Flow) -> dict[str, Any]:
    """Rename, reshape and stack the authors' variables into the parameters of an `image_flow`.

    Only names and shapes matter, so a mapping of gradients or statistics works as well; an incomplete mapping gives a
    tree with only the leaves that it names. A leaf stacks the variables of couplings of one shape, and of the residual
    blocks in them; missing variables of a stack are NaN. Step counters are ignored.

    Args:
      variables: arrays by the authors' names, e.g. "scale_0/coupling_0/resnet/h_in/weights".
      flow: the `image_flow` that the variables belong to.

    Returns:
      The dict {"params": ..., "batch_stats": ...}, without empty collections.

    Raises:
      ValueError: the flow is not an image_flow, it does not know a name, or a size does not fit.
    """
    if not isinstance(flow.bijection, RealNVP) or not isinstance(flow.bijection.conditioner, ResNet):
        raise ValueError(f"expected an image_flow; got {flow}")
    expected: dict[str, Any] = dict(flax.traverse_util.flatten_dict(_shapes(flow), sep="/"))
    pieces: dict[str, dict[tuple[int, ...], Any]] = {}
    for name, value in variables.items():
        if name.rsplit("/", 1)[-1] == "step":
            continue
        value = value if isinstance(value, jax.Array) else np.asarray(value)
        path, index = _place(name, flow.bijection.num_scales, flow.bijection.conditioner.num_blocks) or ("", ())
        if path not in expected or any(i >= n for i, n in zip(index, expected[path].shape, strict=False)):
            raise ValueError(f"expected the authors' variable names of {flow}; got {name!r}")
        shape = expected[path].shape[len(index) :]
        if np.size(value) != np.prod(shape, dtype=int):
            raise ValueError(f"expected {name!r} to have shape {shape}; got {np.shape(value)}")
        pieces.setdefault(path, {})[index] = value.reshape(shape)
    leaves = {path: _stacked(found, expected[path].shape) for path, found in pieces.items()}
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def _shapes(flow: Flow) -> dict[str, Any]:
    return jax.eval_shape(flow.init, root_key(0))


def _stacked(pieces: Mapping[tuple[int, ...], Any], shape: tuple[int, ...]) -> jax.Array:
    """The leaf with every piece at its index, and NaN elsewhere."""
    num_axes = len(next(iter(pieces)))
    numpy = jnp if any(isinstance(piece, Tracer) for piece in pieces.values()) else np
    missing = numpy.full(shape[num_axes:], np.nan, next(iter(pieces.values())).dtype)
    stacked = numpy.stack([pieces.get(index, missing) for index in np.ndindex(shape[:num_axes])])
    return jnp.asarray(stacked.reshape(shape))


def _place(name: str, num_scales: int, num_blocks: int) -> tuple[str, tuple[int, ...]] | None:
    """(path of the leaf, index in its leading axes) of a variable, or None for a name that does not parse."""
    match = re.fullmatch(r"scale_(\d+)/coupling_([0-6])/(.+)", name)
    if match is None:
        return None
    scale, number, rest = match[1], int(match[2]), match[3]
    is_last = int(scale) == num_scales - 1
    layer = number if number <= 3 else number - 4
    coupling = f"scales_{scale}/{_STACKS[is_last][number > 3]}/layer"
    if rest == ("rescaling_scale" if number <= 3 else "scale"):
        return f"params/{coupling}/transform/scale", (layer,)
    module, _, leaf = rest.rpartition("/")
    if leaf not in _LEAVES:
        return None
    collection, leaf_path = _LEAVES[leaf]
    found = _module(module, num_blocks)
    return found and (f"{collection}/{coupling}/{found[0]}/{leaf_path}", (layer, *found[1]))


def _module(name: str, num_blocks: int) -> tuple[str, tuple[int, ...]] | None:
    """(path within a coupling, index of the block if it is in one)."""
    skip = re.fullmatch(r"resnet/skip_(in|\d+)", name)
    if skip is not None:
        stream = 0 if skip[1] == "in" else int(skip[1]) + 1  # the stream that the skip connection starts from
        return ("conditioner/skip_out", ()) if stream == num_blocks else ("conditioner/blocks/skip", (stream,))
    block = re.match(r"resnet/block_(\d+)/", name)
    for pattern, path in _LAYERS:
        if re.fullmatch(pattern, name):
            return path, (int(block[1]),) if block else ()
    return None
