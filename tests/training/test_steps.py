"""Steps of training."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import realnvp_jax
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.state import create_state, evaluation_params
from realnvp_jax.training.steps import augment, random_crop, train_step, train_steps
from tests.training.helpers import FLOW, compiled_step, pixels


def test_several_updates_in_a_dispatch_are_the_same_updates():
    flow = realnvp_jax.image_flow((4, 4, 1), num_scales=1, base_features=2, num_blocks=1, levels=4)
    optimizer = clipped(Adam(), 1e-3)
    options = {"flow": flow, "optimizer": optimizer, "flip": True, "ema_decay": 0.9}
    state = one = create_state(flow, jax.random.key(0), optimizer, 0.9)
    batches = np.random.default_rng(0).integers(0, 4, (4, 6, 4, 4, 1)).astype(np.uint8)
    step = jax.jit(functools.partial(train_step, **options))
    scores = []
    for batch in batches[:3]:
        one, metrics = step(one, {"x": batch}, jax.random.key(1))
        scores.append(metrics["score"])
    several, metrics = jax.jit(functools.partial(train_steps, **options))(state, {"x": batches}, jax.random.key(1), 3)
    assert int(several.step) == 3
    np.testing.assert_allclose(metrics["score"][:3], scores, rtol=1e-5)
    chex.assert_trees_all_close(several.params, one.params, rtol=1e-4, atol=1e-5)


def test_random_crops():
    x = np.arange(6 * 5, dtype=np.uint8).reshape(1, 6, 5, 1).repeat(3000, axis=0)
    key, numbers = jax.random.key(0), np.arange(3000)
    crops = np.asarray(random_crop(key, numbers, x, (4, 4, 1)))
    assert crops.shape == (3000, 4, 4, 1)
    corners, counts = np.unique(crops[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 5, 6, 10, 11]
    assert np.abs(counts - 500).max() < 100
    expected = np.stack([x[0, c // 5 : c // 5 + 4, c % 5 : c % 5 + 4] for c in crops[:, 0, 0, 0]])
    np.testing.assert_array_equal(crops, expected)
    some = random_crop(key, numbers[[5, 2]], x[:2], (4, 4, 1))  # only on its number does an image's crop depend
    np.testing.assert_array_equal(some, crops[[5, 2]])
    augmented = augment(key, jax.numpy.arange(4), jax.numpy.asarray(x[:4]), flip=False, shape=(4, 4, 1))
    np.testing.assert_array_equal(np.floor(augmented), crops[:4])
    np.testing.assert_array_equal(random_crop(key, numbers, x, (6, 5, 1)), x)
    for shape in [(4, 4, 3), (7, 4, 1)]:
        with pytest.raises(ValueError, match=r"expected images .* of at least"):
            random_crop(key, numbers, x, shape)


def test_flips_mirror_about_half_of_the_images():
    images = jnp.tile(jnp.arange(4, dtype=jnp.uint8)[None, None, :, None], (1000, 2, 1, 1))
    flipped = jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=True))
    mirrored = (flipped == jnp.flip(images, 2)).all((1, 2, 3))
    assert (mirrored | (flipped == images).all((1, 2, 3))).all()
    assert 430 < int(mirrored.sum()) < 570
    np.testing.assert_array_equal(jnp.floor(augment(jax.random.key(0), jnp.arange(1000), images, flip=False)), images)


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
