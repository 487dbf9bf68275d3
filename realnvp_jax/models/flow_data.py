"""Flows as plain data and back: everything fits into JSON, and reading it executes nothing.

    a part           {"part": [kind, registered name], "fields": {...}}
    another class    {"class": name in this module, "fields": {...}}
    a tuple          a list;    a dtype {"dtype": name, "of": numpy or jax};    NaN or infinity {"float": text}
    other values     numbers, strings, booleans and None as they are

All fields are written, even defaults, so that a saved flow does not change if a later version has other defaults.
"""

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.bijection import Chain, Inverse, Reordered
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.linear import DiagonalScaling
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.prior import SplitPrior, TopPrior
from realnvp_jax.bijections.squeeze import Squeeze, SqueezeDiagonal, Unsqueeze
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.bijections.transforms import Mixture
from realnvp_jax.masks import Halves
from realnvp_jax.models import pure
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.glow import Glow
from realnvp_jax.models.multiscale import Scale
from realnvp_jax.models.real_nvp import RealNVP
from realnvp_jax.models.standardized import Standardized
from realnvp_jax.models.vector import VectorRealNVP
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.pixelcnn import PixelCNN
from realnvp_jax.networks.separate import SeparateNetworks
from realnvp_jax.networks.statistics import StandardizationStatistics
from realnvp_jax.preprocessing import Center, Identity, Logit, Rescale
from realnvp_jax.random import root_key
from realnvp_jax.registry import PART_KINDS, advice, registered
from realnvp_jax.text import describe_error, shorten

# The classes of a flow besides registered parts. Saved files contain these names, so they must not change.
_CLASSES: dict[str, type] = {
    part.__name__: part
    for part in (
        Autoregressive,
        Center,
        Chain,
        Coupling,
        DiagonalScaling,
        Flow,
        Glow,
        Halves,
        Identity,
        Inverse,
        Logit,
        MADE,
        Mixture,
        Normalize,
        PixelCNN,
        RealNVP,
        Reordered,
        Rescale,
        Scale,
        SeparateNetworks,
        SplitPrior,
        Squeeze,
        SqueezeDiagonal,
        Stack,
        Standardized,
        StandardizationStatistics,
        TopPrior,
        Unsqueeze,
        VectorRealNVP,
    )
}


def flow_to_data(flow: Flow) -> dict[str, Any]:
    """The flow as data, from which `flow_from_data` makes an equal flow.

    Raises:
      TypeError: it is not a flow.
      ValueError: it contains something that cannot become data, such as a function or an object of a class that is not
        registered.
    """
    if type(flow) is not Flow:
        raise TypeError(f"expected a realnvp_jax.Flow; got {type(flow).__name__}")
    data = _to_data(flow, "flow")
    rebuilt = flow_from_data(data)
    if rebuilt != flow or hash(rebuilt) != hash(flow) or _shapes(rebuilt) != _shapes(flow):
        raise ValueError(
            "expected a flow whose fields describe it fully; got one whose fields describe another: keep all that "
            "distinguishes parts in their fields, and use a separate module in every place"
        )
    return data


def flow_from_data(data: Any) -> Flow:
    """The flow that `flow_to_data` turned into data.

    Raises:
      ValueError: a part is not registered, or this version of the package did not write the data.
    """
    flow = _from_data(data, "flow")
    if not isinstance(flow, Flow):
        raise ValueError(f"expected a description of a flow; got one of {shorten(flow)}")
    return flow


def _shapes(flow: Flow) -> Any:
    variables = jax.eval_shape(lambda: pure.fresh(flow, root_key(0)))
    return jax.tree.map(lambda leaf: leaf.shape, variables)


def _to_data(value: Any, path: str) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if type(value) is tuple:
        return [_to_data(entry, f"{path}[{i}]") for i, entry in enumerate(value)]
    if _is_dtype(value):
        library = "numpy" if isinstance(value, np.dtype) else "jax"
        return {"dtype": jnp.dtype(value).name, "of": library}
    name = _name_of(type(value))
    if name is None:
        what = f"an object of {shorten(type(value).__name__)}"
        if isinstance(value, (type, Callable)) and not isinstance(value, nn.Module):
            what = f"{shorten(getattr(value, '__name__', value))}, a {type(value).__name__}"
        raise ValueError(
            f"expected numbers, strings, tuples and registered parts in {path}; got {what}: register its class, "
            'as in realnvp_jax.register("mixing", "mine", Mine) (any bijection can be a mixing)'
        )
    return {**name, "fields": _fields_to_data(value, path)}


def _fields_to_data(part: Any, path: str) -> dict[str, Any]:
    fields = {}
    for field in _fields(type(part)):
        value = getattr(part, field.name)
        if field.name == "name" and isinstance(part, nn.Module) and value is None:
            continue
        try:
            fields[field.name] = _to_data(value, f"{path}.{field.name}")
        except ValueError:
            if value is field.default:  # the value is the class's own default
                continue
            raise
    return fields


def _fields(part: type) -> list[dataclasses.Field]:
    return [field for field in dataclasses.fields(part) if field.init and field.name != "parent"]


def _name_of(part: type) -> dict[str, Any] | None:
    """How the data refer to a class, or None if they cannot."""
    if not dataclasses.is_dataclass(part):
        return None
    for kind in PART_KINDS:
        for name, other in registered(kind).items():
            if other is part:
                return {"part": [kind, name]}
    return {"class": part.__name__} if _CLASSES.get(part.__name__) is part else None


def _is_dtype(value: Any) -> bool:
    """Whether a value is a dtype of NumPy, or a scalar type of JAX such as jnp.float32."""
    if isinstance(value, np.dtype):
        return value.names is None
    return isinstance(value, type(jnp.float32)) and getattr(jnp, value.dtype.name, None) is value


def _from_data(data: Any, path: str) -> Any:
    if data is None or isinstance(data, (bool, str, int, float)):
        return data
    if isinstance(data, list):
        return tuple(_from_data(entry, f"{path}[{i}]") for i, entry in enumerate(data))
    keys = set(data)
    if keys == {"float"} and data["float"] in ("nan", "inf", "-inf"):
        return float(data["float"])
    if keys == {"dtype", "of"}:
        return _dtype_from_data(data, path)
    fields = data.get("fields")
    if keys not in ({"part", "fields"}, {"class", "fields"}) or not isinstance(fields, dict):
        raise ValueError(f"expected a class and its fields in {path}; got {shorten(data)}")
    part = _part(data["part"], path) if "part" in data else _class(data["class"], path)
    known = {field.name for field in _fields(part)}
    for name in fields:
        if name not in known:
            raise ValueError(
                f"expected fields of {part.__name__}, of {', '.join(sorted(known))}, in {path}; got {shorten(name)}: "
                "another version wrote it"
            )
    values = {name: _from_data(value, f"{path}.{name}") for name, value in fields.items()}
    try:
        return part(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected fields that make a {part.__name__} in {path}; got {describe_error(error)}"
        ) from None


def _dtype_from_data(data: dict[str, Any], path: str) -> Any:
    try:
        dtype = jnp.dtype(data["dtype"])
    except TypeError:
        raise ValueError(f"expected the name of a dtype in {path}; got {shorten(data['dtype'])}") from None
    return dtype if data["of"] == "numpy" else getattr(jnp, dtype.name)


def _part(reference: Any, path: str) -> type:
    kind, name = reference if isinstance(reference, list) and len(reference) == 2 else (None, reference)
    if kind not in PART_KINDS or not isinstance(name, str):
        raise ValueError(f"expected the kind and the name of a part in {path}; got {shorten(reference)}")
    named = registered(kind)
    if name not in named:
        raise ValueError(
            f"expected the {kind} {shorten(name)} of {path} to be registered; got no such part: {advice(name, named)}"
        )
    return named[name]


def _class(name: Any, path: str) -> type:
    if not isinstance(name, str) or name not in _CLASSES:
        raise ValueError(f"expected a class of this version of realnvp_jax in {path}; got {shorten(name)}")
    return _CLASSES[name]
