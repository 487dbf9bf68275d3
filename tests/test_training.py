"""Optimizer, steps, data, checkpoints, pictures: the parts of the training program, and `fit`."""

import dataclasses
import functools
import json
import re
import shutil
import signal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

import realnvp_jax
from configs import cifar10, cifar10_large, default, digits, mnist, mnist_small, smoke, toy2d
from realnvp_jax.data.batches import batch_indices
from realnvp_jax.data.examples import Examples, Splits
from realnvp_jax.models import pure
from realnvp_jax.plots.images import save_image_grid
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoints import Checkpoints
from realnvp_jax.runs.run_data import RunData
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.training.evaluation import evaluate
from realnvp_jax.training.optimizer import SGD, Adam, clipped, l2_penalty, learning_rate_schedule
from realnvp_jax.training.parallel import parallel_eval_step
from realnvp_jax.training.state import create_state, evaluation_params
from realnvp_jax.training.steps import NonFiniteLossError, augment, train_step

FLOW = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=4, num_blocks=1, levels=4)


def pixels(count: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4, (count, 4, 4, 1)).astype(np.uint8)


def test_every_config_has_every_key_and_the_papers_values():
    def keys(config, prefix=""):
        for key, value in config.items():
            yield from keys(value, f"{prefix}{key}.") if isinstance(value, ConfigDict) else [prefix + key]

    for module in (cifar10, cifar10_large, digits, mnist, mnist_small, smoke, toy2d):
        assert set(keys(module.get_config())) == set(default.KEYS)
        realnvp_jax.create(module.get_config())
    config = cifar10.get_config()
    assert realnvp_jax.create(config) == realnvp_jax.image_flow()
    assert (config.learning_rate, config.batch_size, config.num_steps) == (1e-3, 64, 80_000)
    assert (config.optimizer.clip_norm, config.optimizer.l2, config.optimizer.epsilon) == (100, 5e-5, 1e-8)
    assert (config.ema_decay, config.schedule.name, config.schedule.warmup_steps) == (0, "constant", 0)
    assert realnvp_jax.create(mnist.get_config()).event_shape == (28, 28, 1)
    with pytest.raises(AttributeError, match="Did you mean"):
        config.lerning_rate = 3.0


def test_schedules():
    cosine = learning_rate_schedule(2.0, "cosine", warmup_steps=10, decay_steps=110)
    np.testing.assert_allclose([cosine(0), cosine(5), cosine(10), cosine(60), cosine(110)], [0, 1, 2, 1, 0], atol=1e-6)
    constant = learning_rate_schedule(2.0)
    assert [float(constant(step)) for step in (0, 10**6)] == [2, 2]
    with pytest.raises(ValueError, match=r"expected schedule\.name to be one of"):
        learning_rate_schedule(1.0, "linear")
    with pytest.raises(ValueError, match=r"decay_steps above schedule.warmup_steps=10; got 10"):
        learning_rate_schedule(1.0, "cosine", warmup_steps=10, decay_steps=10)


def test_clipping_bounds_the_global_norm():
    optimizer = clipped(SGD(), 1.0, 5.0)
    gradient = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
    updates, _ = optimizer.update(gradient, optimizer.init(gradient))
    np.testing.assert_allclose([updates["a"][0], updates["b"][0]], [-3, -4], rtol=1e-6)


CHECKERBOARD = r"(\['before'\]\['layers_0'\]|\['scales_1'\]\['before'\])"


def test_the_penalty_counts_gains_and_checkerboard_scales_only():
    flow = realnvp_jax.image_flow((4, 4, 1), num_scales=2, base_features=2, num_blocks=1)
    ones = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), jax.eval_shape(flow.init, jax.random.key(0)))["params"]
    gradient = jax.tree_util.tree_leaves_with_path(jax.grad(l2_penalty)(ones, pure.penalized(flow)))
    counted = {jax.tree_util.keystr(path) for path, leaf in gradient if leaf.any()}
    names = {jax.tree_util.keystr(path) for path, _ in gradient}
    scales_of = re.compile(CHECKERBOARD + r".*\['scale'\]$")
    assert counted == {n for n in names if n.endswith("['gain']") or scales_of.search(n)}
    scales = [leaf for path, leaf in gradient if jax.tree_util.keystr(path) in counted and path[-1].key == "scale"]
    assert sum(leaf.size for leaf in scales) == 7


def test_batches_are_a_pure_function_of_seed_and_step():
    steps = [batch_indices(3, step, 4, 10) for step in range(5)]
    np.testing.assert_array_equal(np.sort(np.concatenate(steps)[:10]), np.arange(10))
    np.testing.assert_array_equal(np.sort(np.concatenate(steps)[10:]), np.arange(10))
    np.testing.assert_array_equal(batch_indices(3, 2, 4, 10), steps[2])
    assert not np.array_equal(batch_indices(4, 0, 4, 10), steps[0])
    shares = [batch_indices(3, 2, 4, 10, process, 2) for process in range(2)]
    np.testing.assert_array_equal(np.concatenate(shares), steps[2])
    assert len(batch_indices(0, 0, 25, 10)) == 25


def test_flips_mirror_about_half_of_the_images():
    images = jnp.tile(jnp.arange(4, dtype=jnp.uint8)[None, None, :, None], (1000, 2, 1, 1))
    flipped = jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=True))
    mirrored = (flipped == jnp.flip(images, 2)).all((1, 2, 3))
    assert (mirrored | (flipped == images).all((1, 2, 3))).all()
    assert 430 < int(mirrored.sum()) < 570
    np.testing.assert_array_equal(jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=False)), images)


@functools.cache
def compiled_step(ema_decay=0.0):
    optimizer = clipped(Adam(), 3e-3)
    state = create_state(FLOW, jax.random.key(0), optimizer, ema_decay)
    return state, jax.jit(functools.partial(train_step, flow=FLOW, optimizer=optimizer, ema_decay=ema_decay))


def test_noise_is_new_in_every_step_and_the_average_follows():
    state, step = compiled_step(ema_decay=0.9)
    one, first = step(state, {"x": pixels()}, jax.random.key(1))
    again, _ = step(state, {"x": pixels()}, jax.random.key(1))
    chex.assert_trees_all_equal(one, again)
    _, second = step(state.replace(step=jnp.ones((), jnp.int32)), {"x": pixels()}, jax.random.key(1))
    assert first["score"] != second["score"]
    decay = 1 / 10  # warmed up, at step 0
    expected = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.params, one.params)
    chex.assert_trees_all_close(one.ema, expected, rtol=1e-5, atol=1e-7)
    assert evaluation_params(one) is one.ema
    assert evaluation_params(compiled_step()[0]) is compiled_step()[0].params


def test_one_batch_is_overfitted_and_both_modes_agree():
    state, step = compiled_step()
    images = np.repeat(np.random.default_rng(1).integers(0, 4, (4, 4, 4, 1)), 16, axis=0).astype(np.uint8)
    scores = []
    for _ in range(300):
        state, metrics = step(state, {"x": images}, jax.random.key(1))
        scores.append(float(metrics["score"]))
    assert np.mean(scores[-30:]) < 0.5 * scores[0]
    keys = jax.random.split(jax.random.key(2), 8)  # the noise of one batch alone moves the mean by 0.1
    bits = np.mean([FLOW.bits_per_dim(state.params, key, images).mean() for key in keys])
    assert abs(bits - np.mean(scores[-30:])) < 0.05


def test_evaluation_counts_every_example_once_whatever_the_batch_size():
    state, _ = compiled_step()
    step = parallel_eval_step(FLOW)
    scores = evaluate(step, state.params, Examples(pixels()), 12)
    assert scores.shape == (12,)
    for batch_size in (5, 7, 20):
        np.testing.assert_allclose(evaluate(step, state.params, Examples(pixels()), batch_size), scores, rtol=1e-6)
    np.testing.assert_allclose(FLOW.bits_per_dim(state.params, jax.random.key(0), pixels()), scores, rtol=1e-6)


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


# checkpoints


@pytest.fixture
def saved(tmp_path):
    """A workdir with checkpoints of steps 1, 2 and 3, of which 1 is the best."""
    config = smoke.get_config()
    with config.unlocked():
        config.model.event_shape = (4, 4, 1)
        config.model.num_scales, config.model.base_features, config.model.levels = 1, 4, 4
    Workdir(tmp_path, config).start()
    state, _ = compiled_step(ema_decay=0.9)
    checkpoints = Checkpoints(tmp_path, keep=2)
    states = {}
    for step in (1, 2, 3):
        states[step] = jax.tree.map(lambda leaf, step=step: leaf + step if leaf.ndim else leaf, state)
        states[step] = states[step].replace(step=jnp.asarray(step, jnp.int32))
        checkpoints.save(states[step], Best(1, 2.0))
    yield tmp_path, checkpoints, states
    checkpoints.close()


def test_a_checkpoint_restores_what_was_saved(saved):
    _, checkpoints, states = saved
    checkpoints.wait()
    restored, best = checkpoints.restore(states[1])
    assert int(restored.step) == 3
    assert best == Best(1, 2.0)
    chex.assert_trees_all_equal(restored, states[3])


def test_the_newest_and_the_best_are_kept(saved):
    path, checkpoints, states = saved
    checkpoints.wait()
    assert checkpoints.steps() == [3, 2, 1]
    checkpoints.save(states[3].replace(step=jnp.asarray(4, jnp.int32)), Best(1, 2.0))
    checkpoints.wait()
    assert checkpoints.steps() == [4, 3, 1]
    flow, params = realnvp_jax.load(path)
    assert flow == FLOW
    chex.assert_trees_all_equal(params, states[1].ema)
    chex.assert_trees_all_equal(realnvp_jax.load(path, step=3, ema=False)[1], states[3].params)
    chex.assert_trees_all_equal(realnvp_jax.load(str(path), step="best", ema=False)[1], states[1].params)
    chex.assert_trees_all_equal(realnvp_jax.load(path, step="last")[1], states[3].ema)
    with pytest.raises(ValueError, match=r"expected one of the steps \[4, 3, 1\]"):
        realnvp_jax.load(path, step=2)
    with pytest.raises(ValueError, match="number, 'best' or 'last'; got 'newest'"):
        realnvp_jax.load(path, step="newest")


def damage(directory, size: int) -> None:
    """Flip bytes in the middle of the largest file."""
    file = max((p for p in directory.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    for i in range(middle, middle + size):
        content[i] ^= 0xFF
    file.write_bytes(bytes(content))


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(saved, capsys):
    path, checkpoints, states = saved
    checkpoints.wait()
    damage(checkpoints.directory / "3" / "params", 64)
    restored, _ = checkpoints.restore(states[1])
    chex.assert_trees_all_equal(restored, states[2])
    assert "checkpoint 3 cannot be used" in capsys.readouterr().err
    assert checkpoints.steps() == [2, 1]
    assert len(list((path / "damaged").iterdir())) == 1
    checkpoints.save(states[3], Best(3, 1.5))  # the run goes on and comes to step 3 again
    checkpoints.wait()
    chex.assert_trees_all_equal(realnvp_jax.load(path, ema=False)[1], states[3].params)
    damage(checkpoints.directory / "3" / "params", 64)
    with pytest.raises(ValueError, match="expected"):
        realnvp_jax.load(path, step=3, ema=False)
    assert checkpoints.steps() == [3, 2, 1]
    for step in ("1", "2"):
        shutil.rmtree(checkpoints.directory / step / "opt_state")
    with pytest.raises(ValueError, match="3 damaged ones"):
        checkpoints.restore(states[1])


def at_step(state, step: int):
    return state.replace(step=jnp.asarray(step, jnp.int32))


def test_the_best_survives_any_number_of_restarts(saved):
    path, checkpoints, states = saved
    checkpoints.close()
    for start in (4, 7):
        checkpoints = Checkpoints(path, keep=2)
        assert checkpoints.restore(states[1])[1] == Best(1, 2.0)
        for step in range(start, start + 3):
            checkpoints.save(at_step(states[3], step), Best(1, 2.0))
        checkpoints.close()
        assert checkpoints.steps() == [start + 2, start + 1, 1]
    chex.assert_trees_all_equal(realnvp_jax.load(path)[1], states[1].ema)


def test_a_run_that_goes_back_finds_the_best_of_then(saved):
    path, checkpoints, states = saved
    checkpoints.close()
    checkpoints = Checkpoints(path, keep=2)
    checkpoints.save(at_step(states[3], 4), Best(4, 1.0))
    checkpoints.wait()
    assert checkpoints.steps() == [4, 3, 1]
    damage(checkpoints.directory / "4" / "params", 64)
    _, best = checkpoints.restore(states[1])
    assert best == Best(1, 2.0)
    assert checkpoints.steps() == [3, 1]
    checkpoints.close()


def test_an_edited_best_result_is_a_damaged_checkpoint(saved, capsys):
    path, checkpoints, states = saved
    checkpoints.wait()
    meta = checkpoints.directory / "3" / "meta" / "metadata"
    edited = json.loads(meta.read_text())
    edited["best"]["cost"] = 0.0
    meta.write_text(json.dumps(edited))
    with pytest.raises(ValueError, match=r"expected a complete checkpoint 3 in .*the file is damaged"):
        realnvp_jax.load(path)
    restored, best = checkpoints.restore(states[1])
    assert (int(restored.step), best) == (2, Best(1, 2.0))
    assert "checkpoint 3 cannot be used" in capsys.readouterr().err
    checkpoints.note_best(2, Best(2, 1.5))
    assert checkpoints.restore(states[1])[1] == Best(2, 1.5)


def test_a_lost_best_step_is_named(saved):
    path, checkpoints, _ = saved
    checkpoints.wait()
    shutil.rmtree(checkpoints.directory / "1")
    with pytest.raises(ValueError, match=r"expected the checkpoint of the best step 1 in .*; got \[3, 2\] only"):
        realnvp_jax.load(path)


def test_of_equal_results_the_first_is_the_best():
    best = Best().after(10, 2.0).after(20, 2.0).after(30, 3.0)
    assert best == Best(10, 2.0)
    assert best.after(40, float("nan")) == best
    left = best.lost().after(20, 2.5)
    assert left == Best(20, 2.5, lost_step=10, lost_cost=2.0)
    assert left.lost().after(30, 3.0) == Best(30, 3.0, lost_step=10, lost_cost=2.0)
    assert left.after(40, 1.0) == Best(40, 1.0)


def test_load_in_double_precision_gives_the_same_numbers(saved, x64):
    path, checkpoints, states = saved
    checkpoints.wait()
    _, params = realnvp_jax.load(path, step=np.int64(2), ema=False)
    chex.assert_trees_all_equal(params, states[2].params)


def test_a_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"expected the workdir of a run, with config\.json"):
        realnvp_jax.load(tmp_path)
    Workdir(tmp_path, smoke.get_config()).start()
    with pytest.raises(ValueError, match="got none yet"):
        realnvp_jax.load(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model"]["levels"] == 17
    changed = smoke.get_config()
    changed.ema_decay = 0.0
    Workdir(tmp_path / "raw", changed).start()
    with pytest.raises(ValueError, match=r"ema=True"):
        realnvp_jax.load(tmp_path / "raw", ema=True)


def test_another_configs_run_is_refused_by_name(tmp_path):
    Workdir(tmp_path, smoke.get_config()).start()
    config = smoke.get_config()
    config.num_steps, config.evaluate.every, config.checkpoint.every, config.dataset.data_dir = 50, 5, 5, "elsewhere"
    Workdir(tmp_path, config)  # these may differ
    config.seed = 1
    config.model.num_blocks = 3
    with pytest.raises(ValueError, match=r"model.num_blocks was 1, now 3; seed was 0, now 1: use another --workdir"):
        Workdir(tmp_path, config)


def test_other_images_than_those_of_the_run_are_refused(tmp_path):
    part = Examples(np.zeros((1, 2, 2, 1), np.uint8))
    splits = Splits(part, part, part, files={"train": ["a.png"], "test": ["b.png"]}, sha256={"all": "0"})
    RunData(tmp_path).write(splits)
    assert json.loads((tmp_path / "split_files.json").read_text())["train"] == ["a.png"]
    version_02 = tmp_path / "version 0.2"
    version_02.mkdir()
    (version_02 / "split_files.json").write_text('{"sha256": {"all": "0"}, "train": ["a.png"], "test": ["b.png"]}')
    for workdir in (tmp_path, version_02):
        data = RunData(workdir)
        assert data.match(splits) == splits
        with pytest.raises(
            ValueError, match=r"expected the images that the run in .*; got other pixels or labels: use another"
        ):
            data.match(dataclasses.replace(splits, sha256={"all": "1"}))
        other = dataclasses.replace(splits, sha256={"all": "1"}, files={"train": ["b.png"], "test": ["a.png"]})
        with pytest.raises(ValueError, match=r"got 2 others or in another split, such as 'a.png'"):
            data.match(other)
    for name in ("data.json", "split_files.json"):
        (tmp_path / name).write_text("{")
        with pytest.raises(ValueError, match=rf"{name}' as it was written; got a damaged file"):
            RunData(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_steps", 0), ("checkpoint.every", 0), ("evaluate.log_every", -1), ("evaluate.num_examples", -2)],
)
def test_counts_that_are_none_are_refused_before_anything_is_written(tmp_path, key, value):
    config = smoke.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(ValueError, match=rf"expected {key} of at least \d; got {value}"):
        realnvp_jax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stop_that_comes_during_the_evaluation_is_saved(tmp_path, monkeypatch):
    from realnvp_jax.runs import trainer

    config = smoke.get_config()
    config.model.num_scales, config.model.base_features = 1, 2
    config.evaluate.every = config.evaluate.log_every = 3
    validate = trainer.Trainer._validate

    def validate_and_press(self, row, bar):
        validate(self, row, bar)
        self.best = Best(1, 0.0)  # so that the step is not saved for being the best
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(trainer.Trainer, "_validate", validate_and_press)
    with pytest.raises(trainer.InterruptedRunError, match=r"stopped and saved at step 3; resume with: the same call"):
        trainer.train(config, tmp_path)
    assert (tmp_path / "checkpoints" / "3").is_dir()


# pictures


def test_a_sample_grid_shows_the_pixels(tmp_path):
    from PIL import Image

    images = np.zeros((5, 8, 8, 1), np.uint8)
    images[4] = 16
    save_image_grid(images, 17, tmp_path / "grid.png")
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    assert (grid[2:66, 2:66] == 0).all()
    assert (grid[68:132, 68:132] == 255).all()


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
