"""Write the page on which one drags the latents of trained flows: one HTML file without further resources.

    python docs/demo/build.py OUT.html [WORKDIR ...]

The page holds the flows that ship with the package. Each WORKDIR is a run, or a published folder, of a flow on the
plane, and comes before them. Parameters are exported in float32, and `flow.js` computes with them in double precision.
"""

import argparse
import base64
import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

import realnvp_jax
from realnvp_jax.bijections.transforms import Affine, Spline
from realnvp_jax.data.images.digits import Digits
from realnvp_jax.data.splits import parse_split, part_of
from realnvp_jax.masks import Checkerboard, Halves, VectorHalves
from realnvp_jax.models.real_nvp import RealNVP
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.models.vector import VectorRealNVP
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.statistics import BatchNorm, NoNormalization
from realnvp_jax.preprocessing import Identity, Logit

HERE = Path(__file__).parent
PLANAR = ("moons", "pinwheel", "circles", "swiss_roll", "eight_gaussians", "blobs", "smiley", "checkerboard")


class Weights:
    """The exported arrays, one after the other in one buffer, each at a multiple of four bytes."""

    def __init__(self):
        self.buffer = bytearray()

    def add(self, array: Any) -> dict[str, Any]:
        """Append an array, in bfloat16 where that is exact; the answer says where it is."""
        array = np.asarray(array, np.float32)
        words = array.view(np.uint32)
        is_short = not np.any(words & 0xFFFF)
        reference = {"at": len(self.buffer), "shape": list(array.shape), "bfloat16": is_short}
        self.buffer += (words >> 16).astype("<u2").tobytes() if is_short else array.astype("<f4").tobytes()
        self.buffer += bytes(-len(self.buffer) % 4)
        return reference


def export(flow: realnvp_jax.Flow, params: dict[str, Any]) -> dict[str, Any]:
    """A flow as data for `flow.js`: a list of layers in the order of `forward`, and the parameters.

    Raises:
      ValueError: the page cannot compute one of the flow's parts.
    """
    _check_parts(flow)
    weights = Weights()
    tree = _merged(*params.values())
    bijection = flow.bijection
    if isinstance(bijection, RealNVP):
        layers = _image_layers(bijection, tree, weights)
    else:
        layers = _vector_layers(bijection.bijection, tree, weights)
    return {
        "event_shape": flow.event_shape,
        "logit": dataclasses.asdict(flow.preprocessing) or None,
        "layers": layers,
        "weights": base64.b64encode(weights.buffer).decode(),
    }


def _check_parts(flow: realnvp_jax.Flow) -> None:
    """Refuse a flow with a part that `flow.js` does not compute."""
    if flow.context_size:
        raise ValueError(f"expected a flow without a context; got one with a context of size {flow.context_size}")
    _check(flow.base, realnvp_jax.Normal)
    _check(flow.dequantizer, realnvp_jax.UniformDequantizer)
    _check(flow.preprocessing, Identity, Logit)
    _check(flow.bijection, RealNVP, Standardized)
    model = flow.bijection
    if isinstance(model, Standardized):
        model = model.bijection
        _check(model, VectorRealNVP)
        _check(model.masks, VectorHalves)
        _check(model.mixing, type(None))
        _check(model.conditioner, MLP)
    else:
        _check(model.masks, Checkerboard)
        _check(model.conditioner, ResNet)
    _check(model.transform, Affine, Spline)
    _check(model.normalization, BatchNorm, NoNormalization)
    if isinstance(model.transform, Affine) and model.transform.scale_function != "tanh":
        raise ValueError(
            f"expected affine couplings with the scale function tanh; got {model.transform.scale_function}"
        )


def _check(part: Any, *known: type) -> None:
    """Refuse a part whose class `flow.js` does not compute. Subclasses are other parts."""
    if type(part) not in known:
        names = " or ".join(cls.__name__ for cls in known)
        raise ValueError(
            f"expected a flow of parts that the page can compute, here {names}; got {type(part).__name__}: "
            "add it to build.py and flow.js"
        )


def _merged(*trees: Any) -> Any:
    """The collections of parameters as one tree."""
    if not all(isinstance(tree, dict) for tree in trees):
        (leaf,) = trees
        return leaf
    names = {name: None for tree in trees for name in tree}
    return {name: _merged(*(tree[name] for tree in trees if name in tree)) for name in names}


def _layer(tree: Any, number: int) -> Any:
    """The parameters of one layer of a stack."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def _vector_layers(model: VectorRealNVP, tree: Any, weights: Weights) -> list[dict[str, Any]]:
    statistics = tree["standardize"]["statistics"]
    standardize = {name: weights.add(statistics[name]) for name in ("mean", "log_std")}
    tree = tree["bijection"]
    pairs, has_last = divmod(model.num_layers, 2)
    trees = [_layer(tree["pairs"]["layer"]["bijection"], number) for number in range(pairs)]
    trees = [pair[f"layers_{parity}"] for pair in trees for parity in range(2)]
    trees += [tree["last"]["bijection"]["layers_0"]] if has_last else []
    couplings = [_coupling(model, Halves(number % 2), tree, weights) for number, tree in enumerate(trees)]
    return [{"kind": "normalize", **standardize}, *couplings]


def _image_layers(model: RealNVP, tree: Any, weights: Weights) -> list[dict[str, Any]]:
    layers = []

    def stack(mask: Checkerboard | Halves, tree: Any, count: int) -> None:
        for number in range(count):
            parity = (mask.parity + number) % 2
            layers.append(_coupling(model, mask.with_parity(parity), _layer(tree["layer"], number), weights))

    for k in range(model.num_scales - 1):
        before = tree[f"scales_{k}"]["before"]
        stack(model.masks, before["layers_0"], 3)
        layers.append({"kind": "squeeze"})
        stack(model.channel_masks, before["layers_2"], 3)
        layers += [{"kind": "unsqueeze"}, {"kind": "factor_out"}]
    stack(model.masks, tree[f"scales_{model.num_scales - 1}"]["before"], 4)
    return layers


def _coupling(
    model: RealNVP | VectorRealNVP, mask: Checkerboard | Halves, tree: Any, weights: Weights
) -> dict[str, Any]:
    transform, normalization, conditioner = model.transform, model.normalization, model.conditioner
    return {
        "kind": "coupling",
        "mask": {"kind": "halves" if isinstance(mask, Halves) else "checkerboard", "parity": mask.parity},
        "conditioner": {
            "kind": type(conditioner).__name__,
            **({"activation": conditioner.activation} if isinstance(conditioner, MLP) else {}),
            "weights": jax.tree.map(weights.add, tree["conditioner"]),
        },
        "transform": {
            "kind": type(transform).__name__,
            **({"bound": transform.tail_bound} if isinstance(transform, Spline) else {}),
            "weights": jax.tree.map(weights.add, tree.get("transform", {})),
        },
        "normalization": jax.tree.map(weights.add, tree.get("normalization", {})),
        "epsilon": normalization.epsilon if isinstance(normalization, BatchNorm) else None,
    }


def examples_of_digits(count: int = 2) -> dict[str, Any]:
    """`count` test images of every digit: {"labels": [...], "pixels": [[...], ...]}."""
    images = Digits().load("all")
    test = part_of(len(images), parse_split(realnvp_jax.get_config("digits").dataset.test))
    x, labels = np.asarray(images.x)[test], np.asarray(images.labels)[test]
    chosen = [index for label in range(10) for index in np.flatnonzero(labels == label)[:count]]
    return {"labels": labels[chosen].tolist(), "pixels": x[chosen].reshape(len(chosen), -1).tolist()}


def page(workdirs: list[str]) -> str:
    """The page's HTML.

    Raises:
      ValueError: a workdir holds no flow on the plane, or one that the page cannot compute.
    """
    planar = {}
    for workdir in workdirs:
        flow, params = realnvp_jax.load(workdir)
        if flow.event_shape != (2,):
            raise ValueError(f"expected a flow on the plane in {workdir}; got the event shape {flow.event_shape}")
        planar[Path(workdir).name] = export(flow, params)
    planar |= {name: export(*realnvp_jax.load_pretrained(name)) for name in PLANAR}
    digits = {**export(*realnvp_jax.load_pretrained("digits")), "examples": examples_of_digits()}
    data = {"planar": planar, "digits": digits}
    inserted = {
        "page.css": (HERE / "page.css").read_text(encoding="utf-8"),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        **{path.name: path.read_text(encoding="utf-8") for path in HERE.glob("*.js")},
    }
    html = (HERE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{ (\S+) \}\}", lambda match: inserted[match[1]], html)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="Write the demonstration of trained flows in the browser.")
    parser.add_argument("out", help="the HTML file to write")
    parser.add_argument("workdirs", nargs="*", help="runs of flows on the plane, shown before those that ship")
    arguments = parser.parse_args()
    try:
        html = page(arguments.workdirs)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    Path(arguments.out).write_text(html, encoding="utf-8")
    print(f"wrote {arguments.out}, {len(html.encode()) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
