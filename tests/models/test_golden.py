"""Number by number against the authors' TensorFlow code (tests/golden/README.md)."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import realnvp_jax
from realnvp_jax.interop import from_authors
from realnvp_jax.mode import TRAIN
from realnvp_jax.models.declared import penalized
from realnvp_jax.training.optimizer import Adam, clipped, l2_penalty
from realnvp_jax.training.steps import loss_fn
from tests.helpers import slow_but

DATA = np.load(Path(__file__).parents[1] / "golden" / "authors_8x8x3_2scales.npz")
NUM_DIMS = 8 * 8 * 3
UNIT = NUM_DIMS * np.log(256)  # their densities are of x/256
FLOW = realnvp_jax.image_flow((8, 8, 3), num_scales=2, base_features=4, num_blocks=2)
X = (DATA["x_uint8"] + DATA["u"]).astype(np.float32)
TOLERANCE = 1e-4


def group(prefix: str) -> dict[str, np.ndarray]:
    return {name[len(prefix) + 1 :]: DATA[name] for name in DATA.files if name.startswith(prefix + "/")}


def assert_close(ours, theirs):
    """To 1e-4 of the largest value."""
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


@pytest.fixture(scope="module")
def params():
    return from_authors(group("init"), FLOW)


@pytest.fixture(scope="module", params=slow_but(["store"], ["store", "remat", "invert"]))
def loss_and_gradient(request):
    """(parameters, all of the variables) -> ((loss, (mean log_prob, updated variables)), gradient)."""
    flow = realnvp_jax.image_flow((8, 8, 3), num_scales=2, base_features=4, num_blocks=2, memory=request.param)
    return jax.jit(
        lambda trainable, params: jax.value_and_grad(loss_fn, has_aux=True)(
            trainable, params, X, flow=flow, l2=5e-5, axis_name=None
        )
    )


def test_their_variables_make_our_tree(params):
    ours = jax.eval_shape(FLOW.init, jax.random.key(0))
    assert jax.tree.structure(params) == jax.tree.structure(ours)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, ours)
    assert sum(leaf.size for leaf in jax.tree.leaves(params["params"])) == 28_533


def test_preprocessing():
    y, log_derivative = FLOW.preprocessing.forward(jnp.asarray(X))
    assert_close(y, DATA["logit_x"])
    assert_close(log_derivative.sum((1, 2, 3)) + UNIT, DATA["preprocess_log_det"])


def test_evaluation(params):
    z, log_det = FLOW.forward(params, X)
    assert_close(z, DATA["eval/z"])
    log_prob = FLOW.log_prob(params, X)
    assert_close(log_prob + UNIT, DATA["eval/log_prob"])
    assert_close(FLOW.base.log_density(z).sum((1, 2, 3)) + log_det, log_prob)


def test_sampling(params):
    x, _ = FLOW.inverse(params, DATA["sample/z"])
    assert_close(FLOW.preprocessing.forward(x)[0], DATA["sample/logit_x"])
    back, _ = FLOW.inverse(params, DATA["eval/z"])
    assert_close(FLOW.preprocessing.forward(back)[0], DATA["roundtrip/logit_x"])


def test_training_pass(params):
    log_prob, updated = FLOW.log_prob_train(params, X)
    assert_close(log_prob + UNIT, DATA["train/log_prob"])
    assert_close(-(log_prob + UNIT).mean(), DATA["train/cost"])
    bits = -log_prob.mean() / (NUM_DIMS * np.log(2))
    assert_close(bits, DATA["train/bits_per_dim"])
    theirs = from_authors(group("stats_after_one_train_pass"), FLOW)["batch_stats"]
    jax.tree.map(assert_close, updated["batch_stats"], theirs)
    np.testing.assert_array_equal(jax.tree.leaves(updated["params"])[0], jax.tree.leaves(params["params"])[0])


def test_latents_under_batch_statistics(params):
    y, _ = FLOW.preprocessing.forward(jnp.asarray(X))
    (z, _), _ = jax.jit(
        lambda params, y: FLOW.bijection.apply(params, y, None, TRAIN, method="forward", mutable=["batch_stats"])
    )(params, y)
    assert_close(z, DATA["train/z"])


def test_gradients(params, loss_and_gradient):
    assert_close(l2_penalty(params["params"], penalized(FLOW)), DATA["train/l2"])
    (loss, (log_prob, *_)), gradient = loss_and_gradient(params["params"], params)
    assert_close(-(log_prob + UNIT), DATA["train/cost"])
    assert_close(loss, -log_prob + 5e-5 * DATA["train/l2"])
    theirs = from_authors(group("grad"), FLOW)["params"]
    difference = optax.tree.norm(jax.tree.map(jnp.subtract, gradient, theirs))
    assert difference / optax.tree.norm(theirs) < TOLERANCE
    assert_close(optax.tree.norm(gradient), DATA["train/grad_norm"])


def test_three_adam_steps(params, loss_and_gradient):
    optimizer = clipped(Adam(), 1e-3)
    trainable = params["params"]
    opt_state = optimizer.init(trainable)
    (_, (*_, params)), _ = loss_and_gradient(trainable, params)  # the pass that recorded train/*
    costs = []
    for _ in range(3):
        (_, (log_prob, _, params)), gradient = loss_and_gradient(trainable, params)
        costs.append(float(-(log_prob + UNIT)))
        updates, opt_state = optimizer.update(gradient, opt_state)
        trainable = optax.apply_updates(trainable, updates)
    assert_close(costs, DATA["adam/costs"])
    # biases in front of a batch norm have gradient zero, so Adam takes whole steps of rounding noise there
    log_prob = FLOW.log_prob({**params, "params": trainable}, X)
    np.testing.assert_allclose(log_prob + UNIT, DATA["adam/eval_log_prob"], rtol=1e-2)


def test_part_of_the_names_gives_a_tree_with_those_leaves_only():
    part = {name: value for name, value in group("init").items() if name.startswith("scale_1/coupling_3/bn_out")}
    tree = from_authors(part, FLOW)
    assert list(tree) == ["batch_stats"]
    statistics = tree["batch_stats"]["scales_1"]["before"]["layer"]["normalization"]["statistics"]
    assert set(statistics) == {"mean", "variance"}
    assert not np.isnan(statistics["mean"][3]).any()
    assert np.isnan(statistics["mean"][:3]).all()


@pytest.mark.parametrize(
    "name", ["scale_0/coupling_3/scale", "scale_0/coupling_0/gamma", "scale_9/coupling_0/bn_in/mean"]
)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValueError, match=f"got '{name}'"):
        from_authors({name: np.zeros(3)}, FLOW)


def test_a_size_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"expected 'scale_0/coupling_0/bn_in/mean' to have shape \(3,\); got \(4,\)"):
        from_authors({"scale_0/coupling_0/bn_in/mean": np.zeros(4)}, FLOW)
