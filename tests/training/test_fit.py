"""`fit`, and a loop of one's own."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

import realnvp_jax
from realnvp_jax import masked_autoregressive_flow, vector_flow
from realnvp_jax.training.steps import NonFiniteLossError
from tests.helpers import refusal
from tests.training.helpers import FLOW, pixels

KEY = jax.random.key(1)
POINTS = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32) * [1, 3] + [5, 0]
VECTORS = vector_flow(2, num_layers=2, hidden=(4,))
CONDITIONAL = vector_flow(2, num_layers=2, hidden=(4,), context=1)


@functools.cache
def start(flow=VECTORS):
    return flow.init(jax.random.key(0), POINTS)


def fit(x=POINTS, *, flow=VECTORS, params=None, **options):
    params = start(flow) if params is None else params
    return realnvp_jax.fit(flow, params, x, KEY, progress=False, **options)


def test_fit_learns_and_leaves_its_argument_alone():
    params = FLOW.init(jax.random.key(0))
    before = jax.tree.map(np.array, params)
    images = np.repeat(pixels(2), 16, axis=0)
    fitted = realnvp_jax.fit(
        FLOW, params, images, jax.random.key(1), num_steps=60, batch_size=16, learning_rate=1e-2, progress=False
    )
    chex.assert_trees_all_equal(params, before)
    chex.assert_trees_all_equal_structs(params, fitted)
    key = jax.random.key(2)
    assert FLOW.bits_per_dim(fitted, key, images).mean() < FLOW.bits_per_dim(params, key, images).mean() - 0.2
    again = realnvp_jax.fit(
        FLOW, params, images, jax.random.key(1), num_steps=60, batch_size=16, learning_rate=1e-2, progress=False
    )
    chex.assert_trees_all_equal(fitted, again)


def test_a_second_fit_does_not_compile_again(caplog):
    flow = vector_flow(2, num_layers=2, hidden=(3,))
    first = fit(flow=flow, params=start(flow), num_steps=3)
    with jax.log_compiles():
        again = fit(flow=flow, params=start(flow), num_steps=3)
        assert "train_step" not in caplog.text
        fit(flow=flow, params=start(flow), num_steps=3, learning_rate=1e-2)
        assert "train_step" in caplog.text
    chex.assert_trees_all_equal(first, again)


class Scaled(realnvp_jax.SGD):
    """An optimizer that compares equal to others with another factor."""

    def __init__(self, factor):
        object.__setattr__(self, "factor", factor)

    def transformation(self, schedule):
        return optax.chain(super().transformation(schedule), optax.scale(np.ravel(self.factor)[0]))


def test_optimizers_that_compare_equal_do_not_share_a_step():
    assert Scaled(0.0) == Scaled(1.0)
    chex.assert_trees_all_equal(fit(num_steps=2, optimizer=Scaled(0.0)), start())
    assert jax.tree.leaves(fit(num_steps=2, optimizer=Scaled(1.0)))[0].tolist() != jax.tree.leaves(start())[0].tolist()
    chex.assert_trees_all_equal(fit(num_steps=2, optimizer=Scaled([0.0])), start())  # cannot be hashed


def test_fit_refuses_bad_data():
    params = FLOW.init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"expected x of shape \(n, 4, 4, 1\) with n > 0; got \(3, 4, 4\)"):
        realnvp_jax.fit(FLOW, params, pixels(3)[..., 0], jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match="got values from 0 to 9"):
        realnvp_jax.fit(FLOW, params, pixels() // 2 * 9, jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match="batch_size of at least 1; got 0"):
        realnvp_jax.fit(FLOW, params, pixels(), jax.random.key(0), num_steps=1, batch_size=0)
    conditional = realnvp_jax.image_flow((4, 4, 1), num_scales=1, levels=4, context=2)
    with pytest.raises(ValueError, match=r"expected context of shape \(12, 2\); got none"):
        realnvp_jax.fit(conditional, params, pixels(), jax.random.key(0), num_steps=1)
    with pytest.raises(ValueError, match=r"expected context of shape \(12, 2\); got \(12, 1\)"):
        realnvp_jax.fit(conditional, params, pixels(), jax.random.key(0), num_steps=1, context=np.ones((12, 1)))
    with pytest.raises(ValueError, match="built without a context size"):
        realnvp_jax.fit(FLOW, params, pixels(), jax.random.key(0), num_steps=1, context=np.ones((12, 1)))
    with pytest.raises(ValueError, match="NaN or infinite ones in 4 of 4 rows, the first in row 0 "):
        realnvp_jax.fit(FLOW, params, np.full((4, 4, 4, 1), np.nan), jax.random.key(0), num_steps=3, progress=False)
    with pytest.raises(NonFiniteLossError, match="not finite at step"):
        realnvp_jax.fit(
            FLOW, params, pixels(), jax.random.key(0), num_steps=9, learning_rate=1e30, clip_norm=0, progress=False
        )


def test_gradients_are_of_the_trainable_parameters_only():
    """The loop that the README shows: an optimizer over params["params"]."""
    params = FLOW.init(jax.random.key(0))
    optimizer = optax.adam(1e-3)
    opt_state = optimizer.init(params["params"])

    @jax.jit
    def step(params, opt_state, x):
        def loss(trainable):
            log_prob, updated = FLOW.log_prob_train({**params, "params": trainable}, x)
            return -log_prob.mean(), updated

        (value, params), gradient = jax.value_and_grad(loss, has_aux=True)(params["params"])
        updates, opt_state = optimizer.update(gradient, opt_state)
        return {**params, "params": optax.apply_updates(params["params"], updates)}, opt_state, value

    x = FLOW.dequantize(jax.random.key(1), pixels())
    losses = []
    for _ in range(20):
        params, opt_state, value = step(params, opt_state, x)
        losses.append(float(value))
    assert losses[-1] < losses[0]


def simulator(key, n):
    return jax.random.normal(key, (n, 2))


def test_validation_chooses_the_parameters_and_history_tells_all():
    held_out = POINTS[:50] + 1
    params, history = fit(
        POINTS[50:], num_steps=60, validation=held_out, validate_every=7, learning_rate=0.3, history=True
    )
    assert isinstance(history, realnvp_jax.History)
    np.testing.assert_array_equal(history.steps, np.arange(1, 61))
    assert history.train.shape == (60,)
    np.testing.assert_array_equal(history.validation_steps, [7, 14, 21, 28, 35, 42, 49, 56, 60])
    best = int(np.argmax(history.validation))
    assert history.best_step == history.validation_steps[best]
    assert 0 < best < len(history.validation) - 1 or history.validation[0] > history.validation[-1]
    np.testing.assert_allclose(VECTORS.log_prob(params, held_out).mean(), history.validation[best], rtol=1e-5)
    params, history = fit(num_steps=3, history=True)
    assert history.best_step == 3
    assert history.validation.size == history.validation_steps.size == 0
    np.testing.assert_allclose(history.train[0], VECTORS.log_prob(start(), POINTS).mean(), rtol=0.3)


def test_bits_are_less_when_better_and_their_noise_is_fixed():
    images = np.repeat(pixels(2), 16, axis=0)
    params = FLOW.init(jax.random.key(0))
    params, history = realnvp_jax.fit(
        FLOW, params, images, KEY, num_epochs=6, batch_size=16, learning_rate=1e-2, validation=images[::4],
        validate_every=4, history=True, progress=False,
    )  # fmt: skip
    assert len(history.steps) == 12
    assert history.best_step == history.validation_steps[np.argmin(history.validation)]
    bits = FLOW.bits_per_dim(params, jax.random.key(0), images[::4]).mean()
    np.testing.assert_allclose(bits, history.validation.min(), rtol=1e-5)


def test_a_fraction_is_held_out_by_the_key():
    _, whole = fit(num_epochs=1, batch_size=50, history=True)
    assert len(whole.steps) == 4
    params, history = fit(num_epochs=1, batch_size=50, history=True, validation=0.25)
    assert len(history.steps) == 3  # of the 150 that are left
    chex.assert_trees_all_equal(params, fit(num_epochs=1, batch_size=50, validation=0.25))
    for fraction, got in ((0.001, "got 0 of them"), (0.999, "got 200 of them")):
        assert got in refusal(fit, num_steps=1, validation=fraction)
    for fraction in (0, 1.5, -0.1, float("nan")):
        assert "a fraction between 0 and 1" in refusal(fit, num_steps=1, validation=fraction)
    assert "lower batch_size" in refusal(fit, num_steps=1, validation=0.5, batch_size=150)
    assert "a simulator has none to hold out" in refusal(fit, simulator, num_steps=1, validation=0.5)


def test_training_stops_when_validation_does_not_improve():
    calls = []
    _, history = fit(
        num_steps=500, validation=(POINTS * 0 + 40 * POINTS[:1], None), validate_every=5, patience=3, history=True,
        callback=lambda step, metrics: calls.append((step, metrics)),
    )  # fmt: skip
    best = list(history.validation_steps).index(history.best_step)
    assert len(history.validation) == best + 4
    assert len(history.steps) < 500
    assert [step for step, _ in calls] == history.validation_steps.tolist()
    for (_, metrics), value, end in zip(calls, history.validation, history.validation_steps, strict=True):
        assert metrics["validation"] == value
        np.testing.assert_allclose(metrics["train"], history.train[end - 5 : end].mean())
    assert "expected validation for validate_every and patience" in refusal(fit, num_steps=1, patience=2)
    assert "patience of at least 1; got 0" in refusal(fit, num_steps=1, validation=0.5, patience=0)
    assert "validate_every of at least 1; got 0" in refusal(fit, num_steps=1, validation=0.5, validate_every=0)


def test_a_callback_can_stop_and_fail():
    calls = []

    def stop(step, metrics):
        calls.append((step, sorted(metrics)))
        return len(calls) == 2

    _, history = fit(num_steps=500, callback=stop, history=True)
    assert calls == [(50, ["train"]), (100, ["train"])]
    assert history.best_step == 100
    with pytest.raises(ZeroDivisionError):
        fit(num_steps=60, callback=lambda step, metrics: 1 / 0)


def test_any_optimizer_of_optax_and_every_part(only_shipped_parts):
    plain = fit(num_steps=4, optimizer=realnvp_jax.SGD(), learning_rate=0.1)
    chex.assert_trees_all_close(plain, fit(num_steps=4, optimizer=optax.sgd(0.1)), rtol=1e-6)
    chex.assert_trees_all_close(plain, fit(num_steps=4, optimizer="sgd", learning_rate=0.1), rtol=1e-6)
    adam = fit(num_steps=4)
    chex.assert_trees_all_close(adam, fit(num_steps=4, optimizer=optax.adam(1e-3)), rtol=1e-5, atol=1e-7)
    other = fit(num_steps=4, optimizer=realnvp_jax.Adam(beta1=0.1))
    assert float(optax.tree.norm(optax.tree.sub(adam["params"], other["params"]))) > 1e-5
    for name, same in (("adamax", optax.adamax(1e-3)), ("adamw", optax.adamw(1e-3))):
        made = fit(num_steps=4, optimizer=name, learning_rate=1e-3)
        chex.assert_trees_all_close(made, fit(num_steps=4, optimizer=same), rtol=1e-5, atol=1e-7)
        assert float(optax.tree.norm(optax.tree.sub(adam["params"], made["params"]))) > 1e-7
    start_at = start()["params"]
    moved = fit(num_steps=1, optimizer=optax.sgd(1.0), clip_norm=1e-3)["params"]
    norm = float(optax.tree.norm(optax.tree.sub(moved, start_at)))
    np.testing.assert_allclose(norm, 1e-3, rtol=1e-2)  # clipped in front of optax's
    moved = fit(num_steps=1, optimizer=optax.sgd(1.0), clip_norm=0)["params"]
    assert float(optax.tree.norm(optax.tree.sub(moved, start_at))) > 2e-3
    message = refusal(fit, num_steps=1, optimizer=optax.adam(1e-3), learning_rate=1e-2, schedule="cosine")
    assert "expected no learning_rate beside a transformation of optax" in message
    assert "got learning_rate=0.01 and schedule='cosine'" in message
    assert "one of the registered adam, adamax, adamw, muon, schedule_free, sgd" in refusal(
        fit, num_steps=1, optimizer="lamb"
    )
    with pytest.raises(TypeError, match="a registered name or a Optimizer; got the class Adam, not an object of it"):
        fit(num_steps=1, optimizer=realnvp_jax.Adam)
    with pytest.raises(TypeError, match="needs gradients and parameters and nothing else; got one that fails"):
        fit(num_steps=1, optimizer=optax.lbfgs())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "expected either num_steps or num_epochs; got num_steps=None and num_epochs=None"),
        ({"num_steps": 1, "num_epochs": 1}, "got num_steps=1 and num_epochs=1"),
        ({"num_epochs": 0}, "num_epochs of at least 1; got 0"),
        ({"num_epochs": 1.5}, "expected num_epochs to be an integer"),
        ({"num_steps": 1, "learning_rate": -1}, "expected learning_rate above 0; got -1"),
        ({"num_steps": 1, "learning_rate": float("nan")}, "learning_rate to be a finite number; got 'nan'"),
        ({"num_steps": 1, "clip_norm": -1}, "expected clip_norm of at least 0; got -1"),
        ({"num_steps": 1, "l2": float("nan")}, "expected l2 to be a finite number"),
        ({"num_steps": 1, "schedule": "linear"}, "to be one of ('constant', 'cosine', 'one_cycle'); got 'linear'"),
        ({"num_steps": 1, "validation": (POINTS, None, None)}, "x or (x, context); got a tuple of 3"),
        ({"num_steps": 1, "validation": POINTS[:, :1]}, "expected validation examples of shape (n, 2,)"),
        ({"num_steps": 1, "validation": POINTS * np.nan}, "expected finite validation examples"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, expected):
    assert expected in refusal(fit, **options)


def test_epochs_are_of_arrays_alone():
    assert "a simulator, which has no epochs" in refusal(fit, simulator, num_epochs=1)


def test_validation_has_a_context_of_its_own():
    context = POINTS[:, :1]
    options = {"flow": CONDITIONAL, "context": context, "num_steps": 2, "history": True}
    params, history = fit(validation=(POINTS[:70], context[:70]), **options)
    expected = CONDITIONAL.log_prob(params, POINTS[:70], context[:70]).mean()
    np.testing.assert_allclose(history.validation[-1], expected, rtol=1e-5)
    assert fit(validation=0.5, **options)[1].validation.size == 1
    with pytest.raises(ValueError, match="expected no context: this flow was built without a context size"):
        fit(num_steps=1, validation=(POINTS, context))
    assert "expected context of shape (70, 1); got none" in refusal(fit, validation=POINTS[:70], **options)


def test_tables_and_foreign_arrays_are_trained_on():
    table = pd.DataFrame(POINTS, columns=["time", "height"])
    expected = fit(num_steps=2)
    for x in (table, POINTS.astype(">f4"), POINTS.astype(np.longdouble), table.convert_dtypes()):
        chex.assert_trees_all_equal(fit(x, num_steps=2), expected)
    table.loc[3, "height"] = np.nan
    assert "the first in row 3, column 'height'" in refusal(fit, table, num_steps=1)
    with pytest.raises(TypeError, match="expected x to be numbers; got 'category' in column 'height'"):
        fit(table.astype({"height": "category"}), num_steps=1)
    with pytest.raises(TypeError, match="expected floating-point values for a flow without levels; got bool"):
        fit(POINTS > 0, num_steps=1)
    with pytest.raises(TypeError, match=r"got bool: convert them, x\.astype\('uint8'\) for pixels"):
        realnvp_jax.fit(FLOW, FLOW.init(KEY), pixels() > 0, KEY, num_steps=1)
    with pytest.raises(TypeError, match=r"got bool: make them pixels, x\.astype\('uint8'\)"):
        FLOW.log_prob(FLOW.init(KEY), pixels() > 0)
    with pytest.raises(TypeError, match=r"got bool: make them pixels, x\.astype\('uint8'\)"):
        FLOW.init(KEY, pixels() > 0)
    with pytest.raises(TypeError, match=r"got bool: convert them, x\.astype\('uint8'\)"):
        FLOW.bits_per_dim(FLOW.init(KEY), KEY, pixels() > 0)


def test_batches_of_one_are_refused_where_their_variance_is_zero():
    flow = masked_autoregressive_flow(2, num_layers=1, hidden=(4,))
    message = refusal(fit, flow=flow, num_steps=1, batch_size=1)
    assert "batch_size of at least 2 for a flow with batch statistics" in message
    pointwise = realnvp_jax.glow_flow((2, 2, 1), 1, 1, 2, 1, levels=4, normalization="batch_norm")
    with pytest.raises(ValueError, match="batch_size of at least 2"):
        realnvp_jax.fit(pointwise, pointwise.init(KEY), np.zeros((3, 2, 2, 1), int), KEY, num_steps=1, batch_size=1)
    fit(num_steps=1, batch_size=1)
    realnvp_jax.fit(FLOW, FLOW.init(KEY), pixels(), KEY, num_steps=1, batch_size=1, progress=False)  # 16 pixels


def raised(**options) -> str:
    with pytest.raises(NonFiniteLossError) as caught:
        fit(**options)
    message = str(caught.value)
    assert len(message) < 400
    return message


def late(bad):
    """A simulator whose second batch has something bad."""

    def simulate(key, n):
        batch = np.array(jax.random.normal(key, (n, 2)), np.float64)
        if not (key == jax.random.fold_in(jax.random.split(KEY)[0], 0)).all():
            batch[2, 1] = bad
        return batch

    return simulate


def test_what_is_said_about_a_loss_that_is_not_finite_is_the_reason():
    for bad, expected in ((np.nan, "got NaN or infinite ones in 1 of 8 rows, the first in row 2, column 1"),
                          (1e39, "in float32, whose largest number is 3.4e+38; got NaN or infinite")):  # fmt: skip
        message = raised(x=late(bad), num_steps=3, batch_size=8)
        assert message.startswith("loss or gradient is not finite at step 2: expected finite examples of its batch")
        assert expected in message
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), start())
    message = raised(params=narrow, num_steps=20, learning_rate=1e4, clip_norm=0)
    assert "the parameters are float16, whose largest number is 6.6e+04: convert them" in message
    uniform = vector_flow(2, num_layers=2, hidden=(4,), base="uniform")
    message = raised(flow=uniform, num_steps=1)
    assert "of 64 examples of its batch have no finite density under the parameters that fit was given" in message
    message = raised(num_steps=60, learning_rate=1e30, clip_norm=0)
    assert "the examples of its batch are finite, so the parameters have diverged: try a lower learning_rate" in message


def test_what_can_have_no_loss_is_refused_before_training():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 4, 4, 1))
    binary = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=2)
    params = binary.init(KEY)
    message = refusal(realnvp_jax.fit, binary, params, images, KEY, num_steps=1)
    assert "in the support of Logit(levels=2, alpha=0.05), outside of which the density is 0; got -0.9" in message
    assert "in the support of" in refusal(realnvp_jax.fit, binary, params, lambda key, n: images[:n], KEY, num_steps=1,
                                          batch_size=8)  # fmt: skip
    huge = POINTS.astype(np.float64)
    huge[7, 1] = 1e39
    assert "values in float32, whose largest number is 3.4e+38; got" in refusal(fit, huge, num_steps=1)
    broken = jax.tree.map(lambda leaf: leaf * np.nan, start())
    assert "expected finite parameters; got NaN or infinite ones in 'params/bijection" in refusal(
        fit, params=broken, num_steps=1
    )
    with pytest.raises(NonFiniteLossError, match="expected a finite validation score; got -inf"):
        fit(num_steps=1, validation=POINTS * 1e30)


def test_empty_collections_may_be_missing():
    flow = vector_flow(2, num_layers=2, hidden=(4,))
    params = start()
    assert params["batch_stats"] == {}
    dropped = {name: tree for name, tree in params.items() if tree}
    assert "batch_stats" not in dropped
    chex.assert_trees_all_equal(fit(params=dropped, num_steps=2), fit(num_steps=2))
    x = POINTS[:3]
    np.testing.assert_array_equal(flow.log_prob(dropped, x), flow.log_prob(params, x))
    np.testing.assert_array_equal(flow.forward(dropped, x)[0], flow.forward(params, x)[0])
    np.testing.assert_array_equal(flow.inverse(dropped, x)[0], flow.inverse(params, x)[0])
    np.testing.assert_array_equal(flow.sample(dropped, KEY, 2), flow.sample(params, KEY, 2))
    log_prob, updated = flow.log_prob_train(dropped, x)
    np.testing.assert_array_equal(log_prob, flow.log_prob_train(params, x)[0])
    assert updated["batch_stats"] == {}
    nothing = realnvp_jax.Flow((2,), realnvp_jax.Chain())  # no parameters at all
    np.testing.assert_array_equal(nothing.log_prob({}, x), nothing.log_prob(nothing.init(KEY), x))


def test_columns_with_names_are_those_of_x():
    table = pd.DataFrame(POINTS, columns=["time", "height"])
    swapped = table[["height", "time"]]
    options = {"num_steps": 2, "history": True}
    expected = fit(table, validation=table[:70], **options)[1].validation
    np.testing.assert_array_equal(fit(table, validation=swapped[:70], **options)[1].validation, expected)
    np.testing.assert_array_equal(fit(table, validation=POINTS[:70], **options)[1].validation, expected)
    other = swapped.rename(columns={"time": "weight"})
    assert "the columns 'time, height'; got 'height, weight'" in refusal(fit, table, validation=other, num_steps=1)


def test_columns_that_have_no_density_are_refused():
    far = pd.DataFrame({"a": POINTS[:, 0], "stamp": 1.7e9 + 1000 * POINTS[:, 1]})
    message = refusal(fit, far, num_steps=1)
    assert "expected values that float32 can tell apart; got column 'stamp'" in message
    assert "subtract an offset" in message
    assert "got the same values in column 0 and column 1" in refusal(fit, POINTS[:, [0, 0]], num_steps=1)
    flow = vector_flow(3, num_layers=2, hidden=(4,))
    sums = np.column_stack([POINTS, POINTS.sum(axis=1)])
    message = refusal(fit, sums, flow=flow, params=flow.init(KEY), num_steps=1)
    assert "expected columns that are not linear functions of each other" in message
    few = np.repeat(np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32), 20, axis=0)
    fit(few, flow=flow, params=flow.init(KEY), num_steps=1, batch_size=10)  # 3 distinct rows are always on a plane


def test_a_context_that_float32_cannot_tell_apart_is_refused():
    stamps = 1.7e9 + 30 * POINTS[:, :1]
    expected = "expected values that float32 can tell apart; got column 0 of the context with values up to"
    assert refusal(fit, flow=CONDITIONAL, context=stamps, num_steps=1).startswith(expected)
    assert refusal(CONDITIONAL.init, KEY, POINTS, stamps).startswith(expected)
    years = np.where(np.arange(200) < 3, 2023, 2024)[:, None]  # float32 holds them as they are
    narrow = POINTS[:3], 1000 + np.arange(3)[:, None] / 100
    fit(flow=CONDITIONAL, context=years, validation=narrow, num_steps=1)
    CONDITIONAL.init(KEY, POINTS, np.full((200, 1), 1.7e9))  # as of a single time
    CONDITIONAL.init(KEY, POINTS, 1e4 + np.arange(200)[:, None] / 100)  # a narrow batch


def test_columns_that_float32_cannot_tell_apart_are_trained_on_in_float64(x64):
    params = VECTORS.init(KEY, POINTS)
    fit(np.stack([1.7e9 + 30 * POINTS[:, 0], POINTS[:, 1]], axis=1), params=params, num_steps=1)


def test_integers_are_a_context_as_other_numbers_are():
    context = np.rint(1e10 * np.random.default_rng(0).random((200, 1))).astype(np.int64)
    options = {"flow": CONDITIONAL, "num_steps": 2}
    expected = fit(context=context.astype(np.float64), **options)
    chex.assert_trees_all_equal(fit(context=context, **options), expected)
    options["flow"] = vector_flow(2, num_layers=2, hidden=(4,), context=1, memory="invert")
    fit(context=context > 5e9, **options)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_simulator_may_draw_images_in_half_precision(dtype):
    def images(key, num):
        return (FLOW.levels * jax.random.uniform(key, (num, *FLOW.event_shape))).astype(dtype)

    params = realnvp_jax.fit(FLOW, FLOW.init(KEY), images, KEY, num_steps=2, batch_size=4, progress=False)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_fit_under_strict_promotion():
    with jax.numpy_dtype_promotion("strict"):
        fit(num_steps=2, validation=0.1)


def test_a_learning_rate_may_be_an_array():
    chex.assert_trees_all_equal(fit(num_steps=2, learning_rate=jnp.float32(0.5)), fit(num_steps=2, learning_rate=0.5))
    assert "finite number" in refusal(fit, num_steps=2, learning_rate=jnp.ones(2))
