"""The zoo of bijections, how to shake parameters, and what several folders of tests use."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits_labels
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.bijection import Bijection, Chain, Inverse, Reordered
from realnvp_jax.bijections.coupling import Coupling, coupling
from realnvp_jax.bijections.linear import DiagonalScaling, InvertibleConv, LearnedLinear
from realnvp_jax.bijections.normalization import Normalize
from realnvp_jax.bijections.permutation import Permutation, Reversal
from realnvp_jax.bijections.plain_conv import PlainInvertibleConv
from realnvp_jax.bijections.prior import TopPrior
from realnvp_jax.bijections.squeeze import Squeeze, SqueezeDiagonal, Unsqueeze
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.bijections.transforms import Additive, Affine, Mixture, MixtureAffine, Spline
from realnvp_jax.data.images.framed import FramedImages
from realnvp_jax.data.named import find_images
from realnvp_jax.masks import Alternating, Checkerboard, Halves, ImageHalves, RandomCells, RandomHalves
from realnvp_jax.mode import EVALUATE
from realnvp_jax.models.autoregressive import autoregressive_flow
from realnvp_jax.models.create import MODELS
from realnvp_jax.models.glow import Glow
from realnvp_jax.models.masked_autoregressive import masked_autoregressive_flow
from realnvp_jax.models.real_nvp import RealNVP
from realnvp_jax.models.vector import VectorRealNVP, vector_flow
from realnvp_jax.networks.conditioner import Conditioner
from realnvp_jax.networks.gated_dense import GatedDense
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.pixelcnn import PixelCNN
from realnvp_jax.networks.resnet import GainedResNet, ResNet
from realnvp_jax.networks.statistics import ActNorm, BatchNorm, NoNormalization, StandardizationStatistics
from realnvp_jax.networks.three_convolutions import ThreeConvolutions
from realnvp_jax.networks.vit import ViT

ROOT = Path(__file__).parent.parent
BATCH = 8
PATIENCE = 600  # seconds after which a test gives up what should have happened, however busy the machine is


@dataclasses.dataclass(frozen=True)
class Animal:
    """A bijection and the event shape it is tested on."""

    make: Callable[[], Bijection]
    shape: tuple[int, ...]
    context_size: int = 0


SPLINE = Spline(num_bins=4, tail_bound=2.0)
NORMAL_MIXTURE = Mixture(2, base="normal")  # perturbed parameters saturate a uniform base


class PlainConditioner(Conditioner):
    """A conditioner that has another module as a field."""

    inner: nn.Module = nn.Dense(3)

    @nn.compact
    def __call__(self, identity, cells, context=None, mode=EVALUATE):
        return nn.Dense(self.out_features)(jnp.tanh(self.inner(identity)))


def image_coupling(mask, channels: int, transform=None, normalization=None, features: int = 4) -> Coupling:
    """A coupling layer of images whose transformed half has so many channels."""
    return coupling(
        mask,
        ResNet(base_features=features, num_blocks=1),
        transform or Affine(0.0, False),
        normalization or BatchNorm(),
        channels,
    )


def variant(mask, channels: int, transform, normalization) -> Coupling:
    return image_coupling(mask, channels, transform, normalization, features=2)


def vector_coupling(parity: int, num_dims: int, transform) -> Coupling:
    mask = Halves(parity)
    conditioner = MLP(hidden=(5,), activation="tanh")
    return coupling(mask, conditioner, transform, NoNormalization(), mask.size_transformed(num_dims))


def gated_coupling(mask, channels: int, transform) -> Coupling:
    return coupling(mask, GatedDense(base_features=2, num_blocks=2), transform, NoNormalization(), channels)


def glow_coupling(mask, channels: int) -> Coupling:
    return coupling(mask, ThreeConvolutions(base_features=2), Affine(), ActNorm(), channels)


def vit_coupling(mask, channels: int, transform, **choices) -> Coupling:
    network = ViT(vit_features=4, vit_heads=2, **choices)
    return coupling(mask, network, transform, NoNormalization(), channels)


def small_resnet() -> ResNet:
    return ResNet(base_features=2, num_blocks=1)


ZOO = {
    "empty chain": Animal(Chain, (2, 2, 1)),
    "squeeze": Animal(Squeeze, (4, 2, 1)),
    "unsqueeze": Animal(Unsqueeze, (2, 1, 4)),
    "diagonal squeeze": Animal(SqueezeDiagonal, (4, 2, 1)),
    "reordered": Animal(lambda: Reordered(DiagonalScaling(), (2, 0, 1)), (3,)),
    "batch norm": Animal(lambda: Normalize(BatchNorm()), (3, 2, 2)),
    "batch norm of vectors": Animal(lambda: Normalize(BatchNorm()), (3,)),
    "checkerboard coupling 0": Animal(lambda: image_coupling(Checkerboard(0), 2), (2, 3, 2)),
    "checkerboard coupling 1": Animal(lambda: image_coupling(Checkerboard(1), 1), (3, 3, 1)),
    "channel coupling 0": Animal(lambda: image_coupling(Halves(0), 2, Affine(1.0, False)), (2, 2, 4)),
    "channel coupling 1": Animal(lambda: image_coupling(Halves(1), 1, Affine(1.0, False)), (2, 2, 2)),
    "conditional coupling": Animal(lambda: image_coupling(Checkerboard(0), 1), (2, 2, 1), context_size=2),
    "coupling by sigmoids": Animal(
        lambda: variant(Halves(0), 1, Affine(scale_function="sigmoid"), NoNormalization()), (2, 2, 2)
    ),
    "vector coupling by soft clamps": Animal(lambda: vector_coupling(0, 3, Affine(scale_function="soft_clamp")), (3,)),
    "image halves coupling 0": Animal(lambda: variant(ImageHalves(1), 1, Affine(0.0), NoNormalization()), (3, 2, 1)),
    "image halves coupling 1": Animal(lambda: variant(ImageHalves(2), 1, Affine(0.0), ActNorm()), (2, 3, 1)),
    "random cells coupling": Animal(lambda: variant(RandomCells(3), 1, Affine(0.0), ActNorm()), (3, 3, 1)),
    "additive coupling 0": Animal(lambda: variant(Checkerboard(0), 1, Additive(), ActNorm()), (2, 3, 1)),
    "coupling of splines": Animal(lambda: variant(Checkerboard(1), 2, SPLINE, NoNormalization()), (2, 2, 2)),
    "gained coupling 0": Animal(
        lambda: coupling(
            Checkerboard(1),
            GainedResNet(base_features=2, num_blocks=1),
            Affine(per_channel=True),
            NoNormalization(),
            2,
        ),
        (2, 3, 2),
    ),
    "gated coupling 0": Animal(lambda: gated_coupling(Halves(1), 2, Affine()), (2, 3, 4)),
    "conditional gated coupling": Animal(
        lambda: gated_coupling(Checkerboard(1), 1, Additive()), (3, 2, 1), context_size=2
    ),
    "conditional three convolutions coupling": Animal(lambda: glow_coupling(Halves(0), 2), (2, 3, 4), context_size=2),
    "attention coupling 0": Animal(
        lambda: coupling(
            Checkerboard(1),
            GatedDense(base_features=2, num_blocks=1, attention_heads=2),
            Affine(scale_function="sigmoid"),
            NoNormalization(),
            1,
        ),
        (3, 2, 1),
    ),
    "vit coupling 0": Animal(lambda: vit_coupling(Halves(1), 1, Affine(), vit_patch=2), (4, 2, 2)),
    "conditional vit coupling": Animal(
        lambda: vit_coupling(Checkerboard(0), 1, Additive(), vit_blocks=1), (2, 3, 1), context_size=2
    ),
    "coupling of mixtures": Animal(lambda: gated_coupling(Halves(0), 1, MixtureAffine(3)), (2, 2, 2)),
    "vector coupling of mixtures": Animal(lambda: vector_coupling(1, 3, MixtureAffine(2)), (3,)),
    "vector coupling 0": Animal(lambda: vector_coupling(0, 3, Affine()), (3,)),
    "vector coupling 1": Animal(lambda: vector_coupling(1, 3, Affine()), (3,)),
    "vector coupling of splines": Animal(lambda: vector_coupling(0, 5, SPLINE), (5,)),
    "act norm": Animal(lambda: Normalize(ActNorm()), (2, 3, 2)),
    "standardize": Animal(lambda: Normalize(StandardizationStatistics()), (3,)),
    "diagonal scaling": Animal(DiagonalScaling, (2, 3, 1)),
    "learned linear": Animal(LearnedLinear, (4,)),
    "learned linear of images": Animal(LearnedLinear, (2, 1, 3)),
    "1x1 convolution": Animal(InvertibleConv, (2, 2, 4)),
    "plain 1x1 convolution": Animal(PlainInvertibleConv, (2, 2, 4)),
    "plain 1x1 convolution of vectors": Animal(PlainInvertibleConv, (3,)),
    "permutation": Animal(Permutation, (2, 2, 5)),
    "reversal": Animal(Reversal, (3,)),
    "top prior": Animal(TopPrior, (2, 2, 2), context_size=2),
    "stack": Animal(lambda: Stack(image_coupling(Checkerboard(), 1), 3, (0, 1, 0)), (2, 2, 1)),
    "vectors, halves": Animal(lambda: vector_flow(2, 4, (5,)).bijection, (2,)),
    "vectors, alternating, act norm": Animal(
        lambda: VectorRealNVP(5, 3, MLP(hidden=(5, 4)), Alternating(), Affine(), ActNorm()), (5,), context_size=2
    ),
    "vectors, random, additive, batch norm": Animal(
        lambda: VectorRealNVP(4, 5, MLP(hidden=(4,)), RandomHalves(1), Additive(), BatchNorm()), (4,)
    ),
    "vectors, learned, splines": Animal(
        lambda: VectorRealNVP(3, 2, MLP(hidden=(4,)), transform=SPLINE, mixing=LearnedLinear()), (3,)
    ),
    "vectors, a chain as mixing": Animal(
        lambda: VectorRealNVP(3, 3, MLP(hidden=(4,)), mixing=Chain((LearnedLinear(), DiagonalScaling()))), (3,)
    ),
    "autoregressive, inverse": Animal(
        lambda: Inverse(Autoregressive(MADE((1, 0, 2), (4,), 2, 0, "tanh"), Affine())), (3,)
    ),
    "autoregressive vectors": Animal(
        lambda: Autoregressive(
            MADE((0, 2, 1), (5, 5), NORMAL_MIXTURE.parameters_per_dim, 2, "tanh", residual=True), NORMAL_MIXTURE
        ),
        (3,),
        context_size=2,
    ),
    "autoregressive vectors, separate, normal": Animal(
        lambda: (
            autoregressive_flow(
                2, 3, (4,), conditioner="separate", order=(1, 0), mixture="logistic", base="normal"
            ).bijection
        ),
        (2,),
    ),
    "MAF": Animal(lambda: masked_autoregressive_flow(3, 3, (5,), 2, activation="tanh").bijection, (3,), context_size=2),
    "IAF, random, splines, act norm": Animal(
        lambda: (
            masked_autoregressive_flow(
                3, 2, (4,), inverse=True, order="random", transform=SPLINE, normalization="act_norm"
            ).bijection
        ),
        (3,),
    ),
    "PixelCNN": Animal(lambda: Autoregressive(PixelCNN((2, 3, 2), 8, 1, 3, 6), NORMAL_MIXTURE), (2, 3, 2)),
    "chain": Animal(
        lambda: Chain(
            (Normalize(BatchNorm()), Squeeze(), image_coupling(Halves(0), 2, Affine(1.0, False)), Unsqueeze())
        ),
        (2, 2, 1),
    ),
    "RealNVP": Animal(lambda: RealNVP(1, 2, small_resnet()), (4, 4, 1)),
    "RealNVP, additive, act norm": Animal(lambda: RealNVP(1, 1, small_resnet(), Additive(), ActNorm()), (2, 2, 1)),
    "RealNVP, one scale, odd": Animal(lambda: RealNVP(2, 1, small_resnet()), (3, 3, 2)),
    "Glow, a module within a part": Animal(
        lambda: Glow(1, 1, 2, PlainConditioner(), mixing=Inverse(InvertibleConv())), (2, 2, 1)
    ),
    "Glow": Animal(lambda: Glow(1, 2, 2, small_resnet()), (4, 4, 1), context_size=2),
}


def slow_but(quick: Iterable[str], names: Iterable[str]) -> list[Any]:
    """The names as parameters of a test, of which all but the quick ones are slow."""
    chosen = set(quick)
    assert chosen <= set(names)
    return [name if name in chosen else pytest.param(name, marks=pytest.mark.slow) for name in names]


def refusal(function, *arguments, **keywords) -> str:
    """The message with which `function` refuses its arguments: one sentence of at most 400 characters."""
    with pytest.raises(ValueError, match=r"expected .*; got ") as caught:
        function(*arguments, **keywords)
    message = str(caught.value)
    assert len(message) <= 400
    assert "\n" not in message
    return message


def perturb(tree: Any, key: jax.Array, size: float = 0.3) -> Any:
    """Every leaf moved at random; statistics named variance stay positive."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def move(path, leaf):
        moved = np.asarray(leaf) + size * random.standard_normal(leaf.shape)
        moved = np.abs(moved) + 0.1 if "variance" in jax.tree_util.keystr(path) else moved
        return jnp.asarray(moved, leaf.dtype)

    return jax.tree_util.tree_map_with_path(move, tree)


@functools.cache
def build(name: str) -> tuple[Bijection, Any, jax.Array, jax.Array | None]:
    """(bijection, perturbed variables, a batch, context) in float64, on fixed keys."""
    animal = ZOO[name]
    assert jax.config.jax_enable_x64
    bijection = animal.make()
    keys = jax.random.split(jax.random.key(0), 4)
    x = 1.5 * jax.random.normal(keys[0], (BATCH, *animal.shape))
    context = jax.random.normal(keys[1], (BATCH, animal.context_size)) if animal.context_size else None
    variables = jax.jit(lambda key: bijection.init(key, x, context, method="forward"))(keys[2])
    return bijection, perturb(variables, keys[3]), x, context


def flat_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    return {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def images_of(name: str, **keys: Any) -> FramedImages:
    """The images that `config.dataset` with this name and these keys describes."""
    return find_images({"name": name, **keys})


def wait_until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def tiny_labels_config():
    """The config of digits_labels with a tiny model."""
    config = digits_labels.get_config()
    config.num_steps = 4
    config.schedule.warmup_steps = 1
    config.evaluate.every = 2
    config.checkpoint.every = 2
    config.evaluate.num_examples = 60
    config.evaluate.num_samples = 20
    config.model.num_scales = 1
    config.model.base_features = 2
    config.model.num_blocks = 1
    return config


SMALL_FLOWS = {
    "image_flow": ((4, 4, 1), {"num_scales": 1, "base_features": 2, "num_blocks": 1}),
    "glow_flow": ((4, 4, 1), {"num_scales": 1, "num_steps": 1, "base_features": 2, "num_blocks": 1}),
    "vector_flow": (3, {"num_layers": 2, "hidden": (4,)}),
    "autoregressive_flow": (3, {"num_components": 2, "hidden": (4,)}),
    "pixelcnn_flow": ((4, 4, 1), {"num_components": 2, "features": 4, "num_blocks": 1}),
    "masked_autoregressive_flow": (3, {"num_layers": 2, "hidden": (4,)}),
}


def small(name: str, **choices):
    """A small flow by the factory of this name."""
    shape, sizes = SMALL_FLOWS[name]
    return MODELS[name].factory(shape, **{**sizes, **choices})
