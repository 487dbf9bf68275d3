"""Parts by name, and errors in parts."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from configs import default, digits
from realnvp_jax import registry
from realnvp_jax.data.named import find_dataset
from realnvp_jax.models.create import MODELS, create, model_keys, part_fields, part_keys
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.optimizer import optimizer_keys
from tests.helpers import SMALL_FLOWS, refusal, small


def test_unknown_kinds_and_names_are_refused_with_the_nearest(only_shipped_parts):
    assert "a kind of part" in refusal(realnvp_jax.register, "colour", "red", realnvp_jax.Affine)
    assert "a kind of part" in refusal(registry.registered, "colour")
    assert "did you mean 'spline'?" in refusal(small, "vector_flow", transform="splin")
    message = refusal(small, "vector_flow", transform="zzz")
    assert message.startswith("expected transform to be one of the registered additive, affine, mixture_affine, spline")
    assert message.endswith("got 'zzz': first import the file that registers it (for commands, realnvp --import FILE)")
    refusal(small, "vector_flow", transform="z" * 1000)


@pytest.mark.parametrize("kind", ["transform", "conditioner", "dequantizer", "mixing", "normalization"])
def test_a_part_of_a_config_that_is_not_registered_is_named(kind):
    config = digits.get_config()
    config.model.name = "glow_flow"
    config.model[kind] = "nobodys"
    message = refusal(create, config)
    assert f"expected {kind} to be one of the registered" in message
    assert "got 'nobodys': first import the file that registers it (for commands, realnvp --import FILE)" in message


def test_data_sets_and_optimizers_that_are_not_registered_are_named(tmp_path, only_shipped_parts):
    config = digits.get_config()
    config.optimizer.name = "nobodys"
    assert "expected optimizer to be one of the registered adam, adamax, adamw, muon, schedule_free, sgd" in refusal(
        make_optimizer, config, create(config)
    )
    of_vectors = refusal(find_dataset, {"name": "nobodys"}, of_images=False)
    dataset = find_dataset({"name": "nobodys", "data_dir": str(tmp_path)}, of_images=True)
    for message in (of_vectors, refusal(dataset.load, "train")):
        assert "got 'nobodys': first import the file that registers it (for commands, realnvp --import" in message


def test_a_name_is_taken_once():
    taken = refusal(realnvp_jax.register, "transform", "affine", realnvp_jax.Spline)
    assert taken == "expected a new name for a transform; got 'affine', the name of Affine"
    assert realnvp_jax.register("transform", "affine", realnvp_jax.Affine) is realnvp_jax.Affine
    assert registry.part_class("transform", "affine") is realnvp_jax.Affine


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"transform": "spline", "num_bins": 1}, "expected num_bins of at least 2 and at most 500; got 1"),
        ({"transform": "spline", "tail_bound": float("nan")}, "expected tail_bound to be a finite number; got 'nan'"),
        ({"transform": "spline", "num_bin": 4}, "got 'num_bin': did you mean 'num_bins'?"),
        ({"num_bins": 4}, "got 'num_bins'"),
        ({"transform": realnvp_jax.Spline(), "num_bins": 4}, "got 'num_bins'"),
        ({"activation": "x" * 1000}, "expected activation to be one of"),
        ({"masks": "random", "seed": -1}, "expected seed of at least 0; got -1"),
    ],
)
def test_parameters_that_a_part_cannot_have_are_refused(choices, expected):
    assert expected in refusal(small, "vector_flow", **choices)


@dataclasses.dataclass(frozen=True)
class Momentum(realnvp_jax.Optimizer):
    """A part whose types no annotation checks."""

    count: int = registry.parameter(3, "a number", at_least=1)
    size: float = registry.parameter(0.5, "a size", above=0, below=1)
    kind: str = registry.parameter("a", "a choice", choices=("a", "b"))
    flag: bool = registry.parameter(False, "a flag")

    def transformation(self, schedule):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        ({"count": 2.5}, "expected count to be an integer; got '2.5'"),
        ({"count": True}, "expected count to be an integer; got 'True'"),
        ({"count": "8"}, "expected count to be an integer; got '8'"),
        ({"count": 0}, "expected count of at least 1; got 0"),
        ({"size": "x" * 1000}, "expected size to be a finite number; got 'xxx"),
        ({"size": float("inf")}, "expected size to be a finite number; got 'inf'"),
        ({"size": 1}, "expected size above 0 and below 1; got 1"),
        ({"kind": "c"}, "expected kind to be one of ('a', 'b'); got 'c'"),
        ({"kind": ["a"]}, "expected kind to be one of ('a', 'b'); got \"['a']\""),
    ],
)
def test_values_of_another_type_or_out_of_range_are_refused(choices, expected):
    assert expected in refusal(Momentum, **choices)


def test_values_in_range_are_taken():
    assert Momentum(np.int64(4), np.float32(0.25), "b", True).count == 4


@pytest.mark.parametrize(
    ("name", "choices"),
    [(name, {argument: realnvp_jax.Identity()}) for name, model in MODELS.items() for argument in model.parts],
)
def test_objects_of_another_kind_are_refused(name, choices):
    shape, sizes = SMALL_FLOWS[name]
    with pytest.raises(TypeError, match=r"expected \w+ to be a registered name or a \w+; got \w+$"):
        inspect.unwrap(MODELS[name].factory)(shape, **sizes, **choices)  # without the tests' own check of types


SPLINE = realnvp_jax.Spline(num_bins=4)


@pytest.mark.parametrize(
    ("name", "by_name", "as_objects"),
    [
        (name, {"transform": "spline", "num_bins": 4}, {"transform": SPLINE})
        for name, model in MODELS.items()
        if "transform" in model.parts
    ]
    + [
        (name, {"base": base}, {"base": registry.part_class("base", base)()})
        for name in ("image_flow", "vector_flow")
        for base in ("normal", "logistic")
    ]
    + [
        (name, {"normalization": "act_norm"}, {"normalization": realnvp_jax.ActNorm()})
        for name, model in MODELS.items()
        if "normalization" in model.parts
    ]
    + [
        ("image_flow", {}, {"conditioner": realnvp_jax.ResNet(base_features=2, num_blocks=1)}),
        ("glow_flow", {"mixing": "lu"}, {"mixing": realnvp_jax.LearnedLinear()}),
        ("glow_flow", {"mixing": "permutation"}, {"mixing": realnvp_jax.Permutation()}),
        ("glow_flow", {"mixing": "reversal"}, {"mixing": realnvp_jax.Reversal()}),
        ("vector_flow", {"mixing": "conv1x1_plain"}, {"mixing": realnvp_jax.PlainInvertibleConv()}),
        ("glow_flow", {"conditioner": "vit", "vit_patch": 2}, {"conditioner": realnvp_jax.ViT(vit_patch=2)}),
        ("vector_flow", {"masks": "random", "seed": 3}, {"masks": realnvp_jax.RandomHalves(seed=3)}),
    ],
)
def test_a_name_with_its_parameters_is_the_object(name, by_name, as_objects):
    one, other = small(name, **by_name), small(name, **as_objects)
    assert (one, hash(one), repr(one)) == (other, hash(other), repr(other))
    assert one != small(name, **{"transform": realnvp_jax.Additive()} if "transform" in MODELS[name].parts else {})


@pytest.mark.parametrize(
    ("group", "keys", "kinds"),
    [
        ("model", part_keys, {kind for model in MODELS.values() for kind in model.parts.values()}),
        ("optimizer", optimizer_keys, {"optimizer"}),
    ],
)
def test_keys_of_parts_are_keys_of_every_config_with_the_parts_own_defaults(group, keys, kinds, only_shipped_parts):
    of_the_package = [
        (name, field)
        for kind in kinds
        for part in registry.registered(kind).values()
        if part.__module__.startswith("realnvp_jax.")
        for name, field in registry.parameters(part).items()
    ]
    assert of_the_package
    for name, field in of_the_package:
        if name in ("dtype", "unroll", "seed"):  # keys of the config itself; model.mask_seed
            assert f"{group}.{name}" not in default.KEYS
            continue
        key = f"{group}.{name}"
        if name not in ("levels",):  # an argument of the factories as well, whose meaning is wider
            assert keys()[key] == default.KEYS[key], key
        assert default.KEYS[key][0] == default.get_config()[group][name] == field.default, key


def test_a_part_of_ones_own_changes_no_default_and_no_range():
    @realnvp_jax.register("transform", "a_transform")  # in front of all others
    class Mine(realnvp_jax.Transform):
        num_bins: int = registry.parameter(2, "a number", at_least=1, below=5)

    assert part_keys()["model.num_bins"][0] == default.KEYS["model.num_bins"][0] == realnvp_jax.Spline().num_bins
    assert part_fields()["model.num_bins"] is registry.parameters(realnvp_jax.Spline)["num_bins"]


def test_a_parameter_of_a_part_has_a_key_of_its_own():
    """Also where an argument of a factory has the same name, and a key with another one."""

    @realnvp_jax.register("conditioner", "features_and_seed")
    class FeaturesAndSeed(realnvp_jax.Conditioner):
        features: int = registry.parameter(3, "a size", at_least=1)
        seed: int = registry.parameter(5, "a number")

    assert part_keys()["model.seed"] == (5, "conditioner features_and_seed: a number")
    assert "model.features" in part_keys()
    config = digits.get_config()
    config.model.conditioner = "features_and_seed"
    assert create(config).bijection.conditioner == FeaturesAndSeed()
    with config.unlocked():
        config.model.features, config.model.seed = 7, 9
    assert create(config).bijection.conditioner == FeaturesAndSeed(features=7, seed=9)
    assert {"features", "seed"} < set(model_keys(config.model))
    assert "base_features" in model_keys(config.model)  # the factory's own argument


class Failing(realnvp_jax.Bijection):
    """A mixing layer with an error in it."""

    when: str = "forward"

    def forward(self, x, context=None, mode=realnvp_jax.EVALUATE):
        """An error."""
        if self.when == "forward" or (self.when == "train" and mode.trains):
            raise KeyError("my own mistake")
        return x, jnp.zeros(x.shape[:1], x.dtype)

    def inverse(self, z, context=None):
        """An error."""
        raise KeyError("my own mistake")


def test_an_error_in_a_part_is_shown_as_it_is():
    with pytest.raises(KeyError, match="my own mistake"):
        small("vector_flow", mixing=Failing()).init(jax.random.key(0))
    params = small("vector_flow").init(jax.random.key(0))
    with pytest.raises(KeyError, match="my own mistake"):
        small("vector_flow", mixing=Failing()).log_prob(params, np.zeros((2, 3), np.float32))
    flow = small("vector_flow", mixing=Failing("train"))
    with pytest.raises(KeyError, match="my own mistake"):
        flow.log_prob_train(flow.init(jax.random.key(0)), np.zeros((2, 3), np.float32))
    flow = small("vector_flow", mixing=Failing("inverse"))
    with pytest.raises(KeyError, match="my own mistake"):
        flow.inverse(flow.init(jax.random.key(0)), np.zeros((2, 3), np.float32))


def test_parameters_of_another_flow_are_named():
    flow = small("vector_flow")
    params = small("vector_flow", hidden=(5,)).init(jax.random.key(0))
    message = refusal(flow.log_prob, params, np.zeros((2, 3), np.float32))
    assert message.startswith("expected parameters of this flow, as init, load or from_authors make them; got 'params/")
