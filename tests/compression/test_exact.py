"""Every bijection of the zoo on integers: what it computes, that it can be undone, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import realnvp_jax
from realnvp_jax.base import Normal
from realnvp_jax.bijections.bijection import Bijection
from realnvp_jax.compression import grid, rules  # noqa: F401
from realnvp_jax.compression.bits import BitStack
from realnvp_jax.compression.exact import Part, exact
from realnvp_jax.compression.latents import Latents
from realnvp_jax.compression.matrices import ExactMatrix
from realnvp_jax.mode import EVALUATE
from tests.helpers import BATCH, ZOO, build, refusal, slow_but

UNKNOWN = [name for name in ZOO if name.startswith(("autoregressive", "MAF", "IAF", "PixelCNN"))]
KNOWN = [name for name in ZOO if name not in UNKNOWN]
QUICK = (
    "checkerboard coupling 1",
    "conditional coupling",
    "coupling of splines",
    "coupling of mixtures",
    "1x1 convolution",
    "plain 1x1 convolution",
    "permutation",
    "diagonal squeeze",
    "top prior",
    "stack",
    "vectors, alternating, act norm",
    "Glow",
    "RealNVP, additive, act norm",
)


def some_bits(seed: int = 0, num_words: int = 4000) -> BitStack:
    return BitStack(np.random.default_rng(seed).integers(1, 2**32, num_words, dtype=np.uint32))


def to_grid(x) -> np.ndarray:
    return np.floor(np.asarray(x, np.float64) / grid.STEP).astype(np.int64)


@pytest.mark.parametrize("name", slow_but(QUICK, KNOWN))
def test_a_bijection_of_integers_computes_the_same_costs_its_log_det_and_can_be_undone(name, x64):
    bijection, variables, x, context = build(name)
    exactly = exact(bijection, Part(bijection, variables, BATCH + 1))
    if name == "Glow":
        x, context = x[2:3], context[2:3]  # a perturbed prior gives the others latents that grid points are too few for
    expected, log_det = map(np.asarray, bijection.apply(variables, x, context, method="forward"))
    context = None if context is None else np.asarray(context)
    start = some_bits()
    bits, integers = start.copy(), to_grid(x)
    z = exactly.forward(bits, integers, context)
    scale = max(1, float(np.abs(expected).max()))
    np.testing.assert_allclose(z * grid.STEP, expected, atol=0.01 * scale)
    assert bits.size - start.size == pytest.approx(-np.sum(log_det) / np.log(2), abs=0.1 * x.size + 40)
    np.testing.assert_array_equal(exactly.inverse(bits, z, context), integers)
    np.testing.assert_array_equal(bits.words(), start.words())


@pytest.mark.parametrize("name", UNKNOWN)
def test_another_bijection_is_refused_by_name(name, x64):
    bijection, variables, _, _ = build(name)
    assert "got Autoregressive" in refusal(exact, bijection, Part(bijection, variables, BATCH))


class Mine(Bijection):
    """An elementwise map, which is increasing if its slope is positive."""

    is_elementwise = True
    slope: float = 1.0

    def forward(self, x, context=None, mode=EVALUATE):
        return self.slope * x + 1, x[:, 0] * 0

    def inverse(self, z, context=None):
        return (z - 1) / self.slope, z[:, 0] * 0


def test_a_bijection_that_declares_itself_elementwise_needs_no_rule(x64):
    exactly = exact(Mine(), Part(Mine(), {}, 2))
    bits, x = some_bits(), np.array([[3, -(10**7)], [0, 1]])
    z = exactly.forward(bits, x, None)
    assert (np.abs(z - x - 2**grid.STEP_BITS) < 2**grid.BIN_BITS).all()
    np.testing.assert_array_equal(exactly.inverse(bits, z, None), x)


@pytest.mark.parametrize("slope", [-1.0, 1e-9, 1e12])
def test_a_slope_beyond_what_integers_can_express_makes_the_examples_impossible(slope, x64):
    exactly = exact(Mine(slope), Part(Mine(slope), {}, 2))
    with pytest.raises(grid.ImpossibleError) as caught:
        exactly.forward(some_bits(), np.array([[3], [2**30]]), None)
    assert caught.value.args[0].size


@given(st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=20), st.integers(-20, 20), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_linear_functions_of_any_slope(values, log_slope, seed):
    slope = 2.0 ** (log_slope / 4)
    x = np.array(values)[:, None]
    start = some_bits(seed)
    bits = start.copy()

    def edges(bins):
        return (bins << grid.BIN_BITS) * slope + 0.3

    z = grid.forward(bits, x, edges)
    assert (np.abs(z - x * slope) <= 2**grid.BIN_BITS * max(slope, 1) + 2).all()
    np.testing.assert_array_equal(grid.inverse(bits, z, edges, (z - 0.3) / slope), x)
    np.testing.assert_array_equal(bits.words(), start.words())


@pytest.mark.parametrize("guess", [np.nan, 1e300, 1e10])
def test_a_guess_that_leads_nowhere_is_impossible(guess):
    x, bits = np.arange(1000)[:, None], some_bits()

    def edges(bins):
        return (bins << grid.BIN_BITS) * 1.5

    z = grid.forward(bits, x, edges)
    with pytest.raises(grid.ImpossibleError):
        grid.inverse(bits, z, edges, np.full(z.shape, guess))


@given(st.integers(1, 6), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_matrices(dims, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(dims)
    lower = np.tril(rng.normal(size=(dims, dims)), -1) + np.eye(dims)
    diagonal = np.diag(rng.uniform(0.2, 3, dims) * rng.choice([-1, 1], dims))
    upper = np.triu(rng.normal(size=(dims, dims)), 1) + diagonal
    x = to_grid(rng.normal(size=(5, 3, dims)))
    start = some_bits(seed)
    bits, matrix = start.copy(), ExactMatrix(order, lower, upper)
    z = matrix.forward(bits, x)
    np.testing.assert_allclose(z * grid.STEP, (x * grid.STEP)[..., order] @ lower @ upper, atol=0.01)
    log_det = 15 * np.log2(np.abs(np.diag(upper))).sum()
    assert bits.size - start.size == pytest.approx(-log_det, abs=40)
    np.testing.assert_array_equal(matrix.inverse(bits, z), x)
    np.testing.assert_array_equal(bits.words(), start.words())


@pytest.mark.parametrize("base", [Normal(), realnvp_jax.Logistic(), realnvp_jax.Uniform()])
def test_latents_take_the_logarithm_of_their_density(base, x64):
    z = np.asarray(base.sample(jax.random.key(0), (2000, 3)))
    bits, latents = BitStack(), Latents(base, 64)
    latents.push(bits, to_grid(z))
    expected = -np.asarray(base.log_density(jnp.asarray(z))) / np.log(2) + grid.STEP_BITS
    assert bits.size / z.size == pytest.approx(expected.mean(), abs=0.005)
    np.testing.assert_array_equal(latents.pop(bits, z.shape), to_grid(z))
    assert bits.words().size == 0


def test_a_latent_beyond_the_table_makes_its_example_impossible():
    with pytest.raises(grid.ImpossibleError) as caught:
        Latents(Normal(), 8).push(BitStack(), to_grid([[0.0], [-8.1], [7.9]]))
    assert caught.value.args[0].tolist() == [1]
