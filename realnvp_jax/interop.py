"""Parameters from other implementations.

`from_authors` reads the variables of the authors' TensorFlow code. Names inside of a coupling:

    bn_in/{beta,mean,var}                      conditioner/norm_in
    resnet/h_in/{weights,biases}               conditioner/conv_in
    resnet/skip_in/{weights,magnitude,biases}  conditioner/skip_in
    resnet/block_<j>/bn_in, h_0, bn_0, out     conditioner/block_<j>/norm_in, conv_in, norm_out, conv_out
    resnet/skip_<j>, bn_pre_out, out           conditioner/skip_<j>, norm_out, conv_out
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

from realnvp_jax.models.flow import Flow
from realnvp_jax.models.real_nvp import RealNVP

_LEAVES = {
    "weights": ("params", "weights"),
    "biases": ("params", "bias"),
    "magnitude": ("params", "gain"),
    "beta": ("params", "offset"),
    "mean": ("batch_stats", "statistics/mean"),
    "var": ("batch_stats", "statistics/variance"),
}
_LAYERS = (
    (r"bn_in", "conditioner/norm_in"),
    (r"bn_out", "normalization"),
    (r"resnet/h_in", "conditioner/conv_in"),
    (r"resnet/skip_(in|\d+)", r"conditioner/skip_\1"),
    (r"resnet/block_(\d+)/bn_in", r"conditioner/block_\1/norm_in"),
    (r"resnet/block_(\d+)/h_0", r"conditioner/block_\1/conv_in"),
    (r"resnet/block_(\d+)/bn_0", r"conditioner/block_\1/norm_out"),
    (r"resnet/block_(\d+)/out", r"conditioner/block_\1/conv_out"),
    (r"resnet/bn_pre_out", "conditioner/norm_out"),
    (r"resnet/out", "conditioner/conv_out"),
)


def from_authors(variables: Mapping[str, Any], flow: Flow) -> dict[str, Any]:
    """Rename and reshape the authors' variables into the parameters of an `image_flow`.

    Only names and shapes are looked at, so a mapping of gradients or of statistics works as well; part of the names
    gives a tree with those leaves only. Step counters are ignored.

    Args:
      variables: arrays by the authors' names, e.g. "scale_0/coupling_0/resnet/h_in/weights".
      flow: the `image_flow` that they belong to.

    Returns:
      The dict {"params": ..., "batch_stats": ...}; a collection without leaves is left out.

    Raises:
      ValueError: the flow is not an image_flow, a name is unknown to it, or a size does not fit.
    """
    if not isinstance(flow.bijection, RealNVP):
        raise ValueError(f"expected an image_flow; got {flow}")
    expected: dict[str, Any] = dict(flax.traverse_util.flatten_dict(_shapes(flow), sep="/"))
    leaves = {}
    for name, value in variables.items():
        if name.rsplit("/", 1)[-1] == "step":
            continue
        path = _path(name)
        if path not in expected:
            raise ValueError(f"expected the authors' variable names of {flow}; got {name!r}")
        shape = expected[path].shape
        if np.size(value) != np.prod(shape, dtype=int):
            raise ValueError(f"expected {name!r} to have shape {shape}; got {np.shape(value)}")
        leaves[path] = jnp.asarray(value).reshape(shape)
    return flax.traverse_util.unflatten_dict(leaves, sep="/")


def _shapes(flow: Flow) -> dict[str, Any]:
    return jax.eval_shape(flow.init, jax.random.key(0))


def _path(name: str) -> str | None:
    """The path of a variable in the parameters' tree, or None for a name that does not parse."""
    match = re.fullmatch(r"scale_(\d+)/coupling_([0-6])/(.+)", name)
    if match is None:
        return None
    scale, number, rest = match[1], int(match[2]), match[3]
    coupling = f"scales_{scale}/" + (f"checkerboard_{number}" if number <= 3 else f"channel_wise_{number - 4}")
    if rest == ("rescaling_scale" if number <= 3 else "scale"):
        return f"params/{coupling}/transform/scale"
    layer, _, leaf = rest.rpartition("/")
    if leaf not in _LEAVES:
        return None
    collection, leaf_path = _LEAVES[leaf]
    for pattern, replacement in _LAYERS:
        if re.fullmatch(pattern, layer):
            return f"{collection}/{coupling}/{re.sub(pattern, replacement, layer)}/{leaf_path}"
    return None
