"""Models of the most widely used PyTorch port of RealNVP, github.com/chrischute/real-nvp.

The port computes what `image_flow` does, except that

* the first coupling layer of every scale transforms the half that ours keeps (cell (0, 0); the first half of the
  channels);
* the factor of tanh in log_scale is one number per channel, `rescale`;
* its networks are `GainedResNet`s: a gain on every convolution and normalization, and no mask as an input channel;
* nothing is normalized after a coupling layer.

Names inside a coupling:

    st_net.in_norm, out_norm, blocks.<j>.{in_norm,out_norm}      conditioner/[blocks/]{norm_in,norm_out}
    st_net.in_conv, out_conv, blocks.<j>.{in_conv,out_conv}      conditioner/[blocks/]{conv_in,conv_out}
    st_net.in_skip, skips.<j>                                    conditioner/blocks/skip [0], [j + 1]
    st_net.skips.<last>                                          conditioner/skip_out
    rescale                                                      transform/scale

Its networks return log_scale first, ours return shift first.
"""

import dataclasses
import importlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

from realnvp_jax.masks import Checkerboard, Halves
from realnvp_jax.models import arguments
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.real_nvp import image_flow
from realnvp_jax.random import root_key
from realnvp_jax.text import describe_error, describe_os_error, shorten

_LEVELS = 256  # a constant in their code
_FIRST = "flows.in_couplings.0.st_net."
_CONSTRAINT = "data_constraint"  # their name of 1 - 2 alpha
_WHAT = "the state_dict of a chrischute/real-nvp model"
_LEAVES = {  # our leaves -> theirs, besides those of weight normalization
    "gain": "weight",
    "offset": "bias",
    "bias": "bias",
    "statistics/mean": "running_mean",
    "statistics/variance": "running_var",
}


def from_chrischute(
    state: Mapping[str, Any] | str | os.PathLike[str], size: Sequence[int] = (32, 32)
) -> tuple[Flow, dict[str, Any]]:
    """The flow and the parameters of a model of github.com/chrischute/real-nvp.

    Everything but the height and width of the images follows from the tensors. `flow.log_prob` is the log-likelihood
    that their loss averages, log p(z) + log_det - D log 256, for x = 255 * image + noise. A sample of theirs, the
    sigmoid of the inverse, is alpha + (1 - 2 alpha) x / 256 for the x of ours. Training goes on as there except for the
    running variance, which PyTorch estimates without bias, by a factor n / (n - 1) larger.

    Args:
      state: what `net.state_dict()` returns, as arrays by name (tensors must be on the CPU), or the path of a
        .safetensors file, or of a .pt, .pth, .bin or .tar file, which takes PyTorch to read and is read with
        weights_only=True. Names may have the prefix "module." of DataParallel; a checkpoint of theirs, with the state
        under the key "net", is taken as well.
      size: height and width of the images.

    Returns:
      (flow, params); the parameters are float32, or float64 if JAX has it enabled.

    Raises:
      ValueError: the file cannot be read without executing code from it, or PyTorch is not installed; a tensor is
        missing, has another shape, or does not belong to such a model; or the size does not fit.
      TypeError: a value cannot become an array of floating-point numbers.
    """
    tensors = _tensors(_read(Path(state)) if isinstance(state, str | os.PathLike) else state)
    flow, described = _flow(tensors, size)
    expected: dict[str, Any] = dict(
        flax.traverse_util.flatten_dict(jax.eval_shape(flow.init, root_key(0)), sep="/")  # path -> shape
    )
    num_blocks = flow.bijection.conditioner.num_blocks
    taken = _Tensors(tensors, described)
    leaves = {path: taken.leaf(path, leaf.shape, num_blocks) for path, leaf in expected.items()}
    others = sorted(tensors.keys() - taken.names - {_CONSTRAINT})
    if others:
        raise ValueError(f"expected only the tensors of {described}; got {shorten(others[0], 100)}")
    return flow, flax.traverse_util.unflatten_dict(leaves, sep="/")


def _read(path: Path) -> Any:
    """What a file holds."""
    where = shorten(path, 150)
    if not path.is_file():
        raise ValueError(f"expected a file with {_WHAT}; got none at {where}")
    if path.suffix == ".safetensors":
        try:
            return safetensors.numpy.load_file(path)
        except OSError as error:
            raise ValueError(describe_os_error(error, path)) from None
        except (safetensors.SafetensorError, KeyError, TypeError) as error:
            raise ValueError(
                f"expected a .safetensors file of arrays that NumPy knows; got {describe_error(error)} from {where}"
            ) from None
    if path.suffix not in (".pt", ".pth", ".bin", ".tar"):
        raise ValueError(f"expected a .safetensors, .pt, .pth, .bin or .tar file; got {where}")
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise ValueError(
            f"expected PyTorch, to read {where}; got none: pip install torch, or save the state as a .safetensors file "
            "where it is installed"
        ) from None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"expected a file that torch.load reads with weights_only=True, which executes no code from it; got "
            f"{type(error).__name__} from {where}: save net.state_dict() alone"
        ) from None


def _tensors(state: Any) -> dict[str, Any]:
    """The tensors by their names within the model, without counters."""
    if isinstance(state, Mapping) and isinstance(state.get("net"), Mapping):
        state = state["net"]
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ValueError(f"expected {_WHAT}, arrays by name; got {shorten(type(state).__name__)}")
    prefix = "module." if all(name.startswith("module.") for name in state) else ""
    counters = ".num_batches_tracked"
    return {name.removeprefix(prefix): value for name, value in state.items() if not name.endswith(counters)}


def _flow(tensors: Mapping[str, Any], size: Sequence[int]) -> tuple[Flow, str]:
    """The flow whose tensors these are, and its description in their terms."""
    sizes = {}
    for name in (f"{_FIRST}in_norm.weight", f"{_FIRST}in_conv.conv.weight_g"):
        if name not in tensors or len(np.shape(tensors[name])) == 0:
            raise ValueError(f"expected {_WHAT}, with a tensor {name!r}; got {_listed(tensors)}")
        sizes[name] = np.shape(tensors[name])[0]
    channels, width = sizes.values()
    num_scales = len({name.count("next_block.") for name in tensors if name.startswith("flows.")})
    blocks = (re.match(re.escape(_FIRST) + r"blocks\.(\d+)\.", name) for name in tensors)
    num_blocks = len({match[1] for match in blocks if match})
    described = (
        f"RealNVP(num_scales={num_scales}, in_channels={channels}, mid_channels={width}, num_blocks={num_blocks})"
    )
    shape = arguments.integers("size", size, "(32, 32)")
    if len(shape) != 2:
        raise ValueError(f"expected the size (height, width) of the images; got {shape}")
    flow = image_flow(
        (*shape, channels),
        num_scales,
        width,
        num_blocks,
        _LEVELS,
        _alpha(tensors, described),
        conditioner="gained_resnet",
        transform="affine",
        per_channel=True,
        normalization="none",
        masks=Checkerboard(1),
    )
    return dataclasses.replace(flow, bijection=flow.bijection.clone(channel_masks=Halves(1))), described


def _listed(tensors: Mapping[str, Any]) -> str:
    names = sorted(tensors)
    return f"{len(names)} tensors, the first {shorten(names[0], 80)}" if names else "no tensors"


def _alpha(tensors: Mapping[str, Any], described: str) -> float:
    """Their data constraint c maps images to (1 - c) / 2 + c x / 256."""
    constraint = float(_Tensors(tensors, described).get(_CONSTRAINT, (1,))[0])
    if not 0 < constraint <= 1:
        raise ValueError(f"expected {_CONSTRAINT} in (0, 1]; got {constraint}")
    return round((1 - constraint) / 2, 7)  # 0.05 for the float32 number closest to 0.9


class _Tensors:
    """The tensors of a state, and which of them have been asked for."""

    def __init__(self, tensors: Mapping[str, Any], described: str):
        self._tensors = tensors
        self._described = described
        self.names: set[str] = set()

    def get(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The tensor of this name, which must have this shape."""
        self.names.add(name)
        if name not in self._tensors:
            raise ValueError(f"expected the tensors of {self._described}; got none called {shorten(name, 100)}")
        try:
            array = np.asarray(self._tensors[name])
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"expected {shorten(name, 100)} to be an array; got {describe_error(error)}: for a tensor, pass "
                "tensor.detach().cpu().float()"
            ) from None
        if not jnp.issubdtype(array.dtype, jnp.floating):
            raise TypeError(f"expected {shorten(name, 100)} to hold floating-point numbers; got {array.dtype}")
        if array.shape != shape:
            raise ValueError(
                f"expected {shorten(name, 100)} of shape {shape}, as in {self._described}; got {array.shape}"
            )
        return array.astype(jnp.result_type(float))

    def leaf(self, path: str, shape: tuple[int, ...], num_blocks: int) -> jax.Array:
        """Our leaf, which stacks the tensors of couplings of one shape, and of the residual blocks in them."""
        match = re.fullmatch(r"\w+/scales_(\d+)/before/(?:layers_(\d)/)?layer/(.+)", path)
        assert match is not None
        which = "out_couplings" if match[2] == "2" else "in_couplings"
        group = f"flows.{'next_block.' * int(match[1])}{which}"
        num_axes = 2 if match[3].startswith("conditioner/blocks/") else 1
        pieces = [
            self._piece(f"{group}.{coupling}.", match[3], block, shape[num_axes:], num_blocks)
            for coupling, *block in np.ndindex(shape[:num_axes])
        ]
        return jnp.asarray(np.stack(pieces).reshape(shape))

    def _piece(self, coupling: str, ours: str, block: list[int], shape: tuple[int, ...], num_blocks: int) -> np.ndarray:
        """The part of our leaf that belongs to one coupling, and to one residual block if the leaf is in one."""
        if ours == "transform/scale":
            gain = self.get(f"{coupling}rescale.weight_g", (*shape, 1, 1))
            direction = self.get(f"{coupling}rescale.weight_v", (*shape, 1, 1))
            return (gain * np.sign(direction)).reshape(shape)  # the norm of one number is its absolute value
        match = re.fullmatch(r"conditioner/((?:blocks/)?\w+)/(.+)", ours)
        assert match is not None
        module, leaf = match[1], match[2]
        theirs = coupling + _module(module, block, num_blocks)
        if leaf == "weights":
            height, width, inputs, outputs = shape
            tensor = self.get(f"{theirs}.weight_v", (outputs, inputs, height, width)).transpose(2, 3, 1, 0)
        elif leaf == "gain" and not theirs.endswith("_norm"):
            tensor = self.get(f"{theirs}.weight_g", (*shape, 1, 1, 1)).reshape(shape)
        else:
            tensor = self.get(f"{theirs}.{_LEAVES[leaf]}", shape)
        return np.roll(tensor, shape[-1] // 2, axis=-1) if module == "conv_out" else tensor


def _module(ours: str, block: list[int], num_blocks: int) -> str:
    """Their name, within a coupling, of a module of our conditioner."""
    if ours in ("skip_out", "blocks/skip"):
        stream = block[0] if block else num_blocks  # the stream that the skip connection starts from
        return "st_net.in_skip.conv" if stream == 0 else f"st_net.skips.{stream - 1}.conv"
    kind, _, place = ours.removeprefix("blocks/").partition("_")
    within = f"st_net.blocks.{block[0]}" if block else "st_net"
    return f"{within}.{place}_{'norm' if kind == 'norm' else 'conv.conv'}"
