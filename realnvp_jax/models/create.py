"""From a config to a flow.

The keys of `config.model` are the arguments of the factory called `model.name`, and the parameters of the parts that
are chosen by name. An empty string stands for the factory's own default.
"""

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from realnvp_jax import registry
from realnvp_jax.models.autoregressive import autoregressive_flow, pixelcnn_flow
from realnvp_jax.models.flow import Flow
from realnvp_jax.models.glow import glow_flow
from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
from realnvp_jax.models.real_nvp import image_flow
from realnvp_jax.models.vector import vector_flow
from realnvp_jax.text import shorten, split_names

Config = Any  # ml_collections.ConfigDict, whose attributes are dynamic

_TOP_LEVEL = {"memory": "store", "dtype": "float32", "unroll": False}  # keys of the config itself that a model may read
_KEYS = {"seed": "mask_seed", "features": "base_features"}  # arguments of factories -> config keys of another name


@dataclasses.dataclass(frozen=True)
class Model:
    """A factory of flows, as configs see it.

    Attributes:
      factory: the function.
      parts: arguments of the factory that are parts -> their kinds.
      is_of_images: whether event_shape is (height, width, channels), rather than (columns,).
    """

    factory: Callable[..., Flow]
    parts: Mapping[str, str]
    is_of_images: bool = False

    def arguments(self) -> list[str]:
        """The arguments that are keys of the config, in order."""
        names = [
            name
            for name, value in inspect.signature(self.factory).parameters.items()
            if value.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        return [name for name in names[1:] if name != "context"]

    def defaults(self) -> dict[str, Any]:
        """The default of every argument that has one."""
        return {name: value.default for name, value in inspect.signature(self.factory).parameters.items()}

    def options(self, model: Config) -> list[str]:
        """The parameters of the parts that the config chooses by name."""
        found: dict[str, None] = {}
        for argument, kind in self.parts.items():
            choice = (model.get(_KEYS.get(argument, argument)) or self.defaults()[argument]) if model else None
            if isinstance(choice, str) and choice in registry.registered(kind):
                found.update(dict.fromkeys(registry.parameters(registry.part_class(kind, choice))))
        own = self.arguments()
        return [name for name in found if name not in own]

    def keys(self, model: Config) -> dict[str, str]:
        """Arguments of the factory and parameters of the chosen parts -> keys of the config."""
        arguments = {name: _KEYS.get(name, name) for name in self.arguments()}
        return {**arguments, **{name: name for name in self.options(model)}}


_NETWORK = {"conditioner": "conditioner", "transform": "transform", "normalization": "normalization"}

MODELS = {
    "image_flow": Model(
        image_flow, {**_NETWORK, "masks": "image_mask", "base": "base", "dequantizer": "dequantizer"}, True
    ),
    "glow_flow": Model(glow_flow, {**_NETWORK, "mixing": "mixing", "dequantizer": "dequantizer"}, True),
    "pixelcnn_flow": Model(pixelcnn_flow, {}, True),
    "vector_flow": Model(vector_flow, {**_NETWORK, "masks": "vector_mask", "mixing": "mixing", "base": "base"}),
    "autoregressive_flow": Model(autoregressive_flow, {}),
    "masked_autoregressive_flow": Model(
        masked_autoregressive_flow, {"transform": "transform", "normalization": "normalization"}
    ),
}


def unknown_model(name: str) -> str:
    """The message for a name that is not one of `MODELS`."""
    near = difflib.get_close_matches(name, MODELS, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    return f"expected model.name to be one of {tuple(MODELS)}; got {shorten(name)}{hint}"


def is_of_vectors(config: Config) -> bool:
    """Whether the model is for vectors, not for images."""
    return config.model.name in MODELS and not MODELS[config.model.name].is_of_images


def model_keys(model: Config) -> tuple[str, ...]:
    """The keys of `config.model` that the model reads."""
    keys = MODELS[model.name].keys(model).values()
    return ("name", "event_shape", *(key for key in keys if key not in _TOP_LEVEL))


def unused_top_level(config: Config) -> list[str]:
    """The keys memory, dtype and unroll that are set although the model does not read them, as key=value."""
    described = MODELS[config.model.name]
    read = described.keys(config.model)
    return [f"{key}={config[key]}" for key, plain in _TOP_LEVEL.items() if key not in read and config[key] != plain]


def part_keys() -> dict[str, tuple[Any, str]]:
    """Config keys, model.parameter -> (default, meaning), of all registered parts of models."""
    return _of_parts(registry.config_keys)


def part_fields() -> dict[str, dataclasses.Field]:
    """Config keys, model.parameter -> field that declares it, of all registered parts of models."""
    return _of_parts(registry.config_fields)


def _of_parts(described: Callable[[str, tuple[str, ...]], dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in dict.fromkeys(kind for model in MODELS.values() for kind in model.parts.values()):
        models = [model for model in MODELS.values() if kind in model.parts.values()]
        for key, value in described("model", (kind,)).items():
            name = key.removeprefix("model.")
            has_another_key = name in _KEYS and all(name in model.arguments() for model in models)
            if name not in _TOP_LEVEL and not has_another_key:
                found.setdefault(key, value)
    return found


def check_version(config: Config, where: str) -> None:
    """Raise ValueError for the config of a run from before version 0.3, whose parameters have different names."""
    if "mixing" not in config.get("model", {}):
        raise ValueError(
            f"expected a run of version 0.3 or later in {where}; got one of an older version, whose parameters have "
            "other names: use that version, or train again in another workdir"
        )


def create(config: Config) -> Flow:
    """Build the flow that `config.model` describes.

    Raises:
      TypeError: a key has a value of the wrong type.
      ValueError: the model's name or a part's name is unknown, or sizes do not fit together.
    """
    model, name = config.model, config.model.name
    if name not in MODELS:
        raise ValueError(unknown_model(name))
    described, shape = MODELS[name], tuple(model.event_shape)
    if not described.is_of_images and len(shape) != 1:
        raise ValueError(f"expected model.event_shape (columns,) for the {name}; got {str(shape)[:60]}")
    chosen = {}
    for argument, key in described.keys(model).items():
        value = config[key] if key in _TOP_LEVEL else model.get(key, "")
        if value != "":
            chosen[argument] = _tuples(value)
    return described.factory(shape if described.is_of_images else shape[0], context=context_size(config), **chosen)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


def context_columns(config: Config) -> tuple[str, ...]:
    """Names of the columns that the density is conditioned on, those of `dataset.context`.

    A column of categories is replaced by its one-hot columns from `dataset.categories`, such as "city=Bern".
    """
    categories = config.dataset.get("categories", ())
    found: list[str] = []
    for name in split_names(config.dataset.context):
        found += [column for column in categories if column.startswith(f"{name}=")] or [name]
    return tuple(found)


def is_class_conditional(config: Config) -> bool:
    """Whether the flow models images conditioned on their labels."""
    return not is_of_vectors(config) and config.dataset.context == "label"


def class_names(config: Config) -> tuple[str, ...]:
    """Names of the classes that an image flow is conditioned on; () if it is unconditional."""
    return tuple(config.dataset.classes) if is_class_conditional(config) else ()


def context_size(config: Config) -> int:
    """Width of the context: the number of columns of a table, or of classes of images.

    Raises:
      ValueError: the flow models images conditioned on labels, and the config does not name the classes.
    """
    if not is_class_conditional(config):
        return len(context_columns(config))
    classes = class_names(config)
    if len(classes) < 2:
        raise ValueError(
            f"expected at least 2 names of classes in dataset.classes with dataset.context='label'; got {classes}: "
            "name them (the training program takes them from the data if the config has none)"
        )
    return len(classes)
