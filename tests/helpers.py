"""The zoo of bijections, and how to shake parameters."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realnvp_jax.bijections.act_norm import ActNorm, Standardize
from realnvp_jax.bijections.autoregressive import Autoregressive
from realnvp_jax.bijections.batch_norm import BatchNorm
from realnvp_jax.bijections.bijection import Bijection, Chain, Inverse
from realnvp_jax.bijections.coupling import Coupling
from realnvp_jax.bijections.create import create_normalization
from realnvp_jax.bijections.linear import DiagonalScaling, LearnedLinear
from realnvp_jax.bijections.squeeze import Squeeze, Unsqueeze
from realnvp_jax.bijections.transforms import AffineTransform, MixtureTransform, TransformSpec
from realnvp_jax.masks import Checkerboard, Halves, ImageHalves
from realnvp_jax.models.autoregressive import VectorAutoregressive
from realnvp_jax.models.masked_autoregressive import MaskedAutoregressive
from realnvp_jax.models.real_nvp import RealNVP, Scale
from realnvp_jax.models.vector import VectorRealNVP
from realnvp_jax.networks.made import MADE
from realnvp_jax.networks.mlp import MLP
from realnvp_jax.networks.normalization import NormalizationSpec
from realnvp_jax.networks.pixelcnn import PixelCNN
from realnvp_jax.networks.resnet import ResNet

BATCH = 8


@dataclasses.dataclass(frozen=True)
class Animal:
    """A bijection and the event shape it is tested on."""

    make: Callable[[], Bijection]
    shape: tuple[int, ...]
    context_size: int = 0


ADDITIVE, SPLINE = TransformSpec("additive"), TransformSpec("spline", num_bins=4, tail_bound=2.0)
NORMAL_MIXTURE = MixtureTransform(2, base="normal")  # perturbed parameters saturate a uniform base
ACT_NORM, NO_NORM = NormalizationSpec("act_norm"), NormalizationSpec("none")


def variant(mask, channels: int, transform: TransformSpec, normalization: NormalizationSpec) -> Coupling:
    module = transform.create(initial_scale=0.0, has_offset=True)
    conditioner = ResNet(2, 1, module.parameters_per_dim * channels, normalization)
    return Coupling(mask, conditioner, module, create_normalization(normalization, mask))


def vector_coupling(parity: int, num_dims: int, transform: TransformSpec) -> Coupling:
    module = transform.create(initial_scale=1.0, has_offset=True)
    out_features = module.parameters_per_dim * Halves(parity).size_transformed(num_dims)
    return Coupling(Halves(parity), MLP((5,), out_features, "tanh"), module, None)


def coupling(mask, channels: int, initial_scale: float) -> Coupling:
    normalization = BatchNorm(mask if isinstance(mask, Checkerboard) else None)
    return Coupling(mask, ResNet(4, 1, 2 * channels), AffineTransform(initial_scale), normalization)


ZOO = {
    "empty chain": Animal(Chain, (2, 2, 1)),
    "squeeze": Animal(Squeeze, (4, 2, 1)),
    "unsqueeze": Animal(Unsqueeze, (2, 1, 4)),
    "batch norm": Animal(BatchNorm, (3, 2, 2)),
    "batch norm of vectors": Animal(BatchNorm, (3,)),
    "batch norm, checkerboard": Animal(lambda: BatchNorm(Checkerboard(1)), (3, 3, 2)),
    "checkerboard coupling 0": Animal(lambda: coupling(Checkerboard(0), 2, 0.0), (2, 3, 2)),
    "checkerboard coupling 1": Animal(lambda: coupling(Checkerboard(1), 1, 0.0), (3, 3, 1)),
    "channel coupling 0": Animal(lambda: coupling(Halves(0), 2, 1.0), (2, 2, 4)),
    "channel coupling 1": Animal(lambda: coupling(Halves(1), 1, 1.0), (2, 2, 2)),
    "conditional coupling": Animal(lambda: coupling(Checkerboard(0), 1, 0.0), (2, 2, 1), context_size=2),
    "image halves coupling 0": Animal(lambda: variant(ImageHalves(1), 1, TransformSpec(), NO_NORM), (3, 2, 1)),
    "image halves coupling 1": Animal(lambda: variant(ImageHalves(2), 1, TransformSpec(), ACT_NORM), (2, 3, 1)),
    "additive coupling 0": Animal(lambda: variant(Checkerboard(0), 1, ADDITIVE, ACT_NORM), (2, 3, 1)),
    "coupling of splines": Animal(lambda: variant(Checkerboard(1), 2, SPLINE, NO_NORM), (2, 2, 2)),
    "vector coupling 0": Animal(lambda: vector_coupling(0, 3, TransformSpec()), (3,)),
    "vector coupling 1": Animal(lambda: vector_coupling(1, 3, TransformSpec()), (3,)),
    "vector coupling of splines": Animal(lambda: vector_coupling(0, 5, SPLINE), (5,)),
    "act norm": Animal(ActNorm, (2, 3, 2)),
    "act norm of image halves": Animal(lambda: ActNorm(ImageHalves(3)), (2, 3, 2)),
    "standardize": Animal(Standardize, (3,)),
    "diagonal scaling": Animal(DiagonalScaling, (2, 3, 1)),
    "learned linear": Animal(lambda: LearnedLinear(4), (4,)),
    "vectors, halves": Animal(lambda: VectorRealNVP(2, 4, (5,)), (2,)),
    "vectors, alternating, act norm": Animal(
        lambda: VectorRealNVP(5, 3, (5, 4), "alternating", 0, TransformSpec(), ACT_NORM), (5,), context_size=2
    ),
    "vectors, random, additive, batch norm": Animal(
        lambda: VectorRealNVP(4, 5, (4,), "random", 1, ADDITIVE, NormalizationSpec()), (4,)
    ),
    "vectors, learned, splines": Animal(lambda: VectorRealNVP(3, 2, (4,), "learned", 0, SPLINE), (3,)),
    "autoregressive, inverse": Animal(
        lambda: Inverse(Autoregressive(MADE((1, 0, 2), (4,), 2, 0, "tanh"), AffineTransform(1.0, True))), (3,)
    ),
    "autoregressive vectors": Animal(
        lambda: VectorAutoregressive((0, 2, 1), (5, 5), NORMAL_MIXTURE, 2, activation="tanh", residual=True),
        (3,),
        context_size=2,
    ),
    "autoregressive vectors, separate, normal": Animal(
        lambda: VectorAutoregressive((1, 0), (4,), MixtureTransform(3, "logistic", "normal"), 0, "separate"), (2,)
    ),
    "MAF": Animal(lambda: MaskedAutoregressive(3, 3, (5,), 2, activation="tanh"), (3,), context_size=2),
    "IAF, random, splines, act norm": Animal(
        lambda: MaskedAutoregressive(3, 2, (4,), 0, "random", 0, SPLINE, ACT_NORM, inverse_maps=True), (3,)
    ),
    "PixelCNN": Animal(lambda: Autoregressive(PixelCNN((2, 3, 2), 8, 1, 3, 6), NORMAL_MIXTURE), (2, 3, 2)),
    "chain": Animal(lambda: Chain((BatchNorm(), Squeeze(), coupling(Halves(0), 2, 1.0), Unsqueeze())), (2, 2, 1)),
    "scale": Animal(lambda: Scale(channels=1, features=2, num_blocks=1, is_last=False), (2, 2, 1)),
    "RealNVP": Animal(lambda: RealNVP(channels=1, num_scales=2, base_features=2, num_blocks=1), (4, 4, 1)),
    "RealNVP, additive, act norm": Animal(
        lambda: RealNVP(1, 1, 2, 1, transform=ADDITIVE, normalization=ACT_NORM), (2, 2, 1)
    ),
    "RealNVP, one scale, odd": Animal(
        lambda: RealNVP(channels=2, num_scales=1, base_features=2, num_blocks=1), (3, 3, 2)
    ),
}


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
