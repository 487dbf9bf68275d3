"""Scores of anomalies: the numbers and their AUROC."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from realnvp_jax.analysis.anomalies import Scores, aurocs, score_examples
from realnvp_jax.analysis.run import Run
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.baselines import file_bits
from realnvp_jax.training.augmentation import random_crop
from realnvp_jax.training.evaluation import evaluation_key
from tests.analysis.runs import CONDITIONAL, GREY, PLANE, RGB, of_images, pixels, points, with_parameters
from tests.helpers import refusal


def bits_of(run: Run, x: np.ndarray, key: jax.Array) -> np.ndarray:
    """Bits per dimension, from the flow itself."""
    log_prob = run.flow.log_prob(run.params, run.flow.dequantize(key, x))
    return -np.asarray(log_prob, np.float64) / (run.flow.num_dims * np.log(2))


def smaller_file(x: np.ndarray) -> list[float]:
    return [min(sizes) for sizes in zip(file_bits(x, "PNG"), file_bits(x, "WebP"), strict=True)]


# scores: those of one flow are together, which is compiled once


@pytest.mark.parametrize("seed", [None, 3])
def test_scores_of_images_are_what_they_are_said_to_be(seed):
    run, x, reference = with_parameters(RGB()), pixels(7, 4, 4, 3), pixels(7, 4, 4, 3, seed=1)
    x[0] = 128
    scores = score_examples(run, Examples(x), Examples(reference), seed=seed)
    key = evaluation_key() if seed is None else jax.random.key(seed)
    bits, of_reference = bits_of(run, x, key), bits_of(run, reference, key)
    np.testing.assert_allclose(scores.bits_per_dim, bits, rtol=1e-5)
    np.testing.assert_allclose(scores.log_prob, -bits * 48 * np.log(2), rtol=1e-5)
    expected = [np.log(2) * abs(b - of_reference.mean()) for b in bits]
    np.testing.assert_allclose(scores.typicality, expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(scores.percentile, [100 * np.mean(of_reference > b) for b in bits])
    expected = [b - smallest for b, smallest in zip(bits, smaller_file(x), strict=True)]
    np.testing.assert_allclose(scores.complexity_corrected, expected, rtol=1e-5, atol=1e-5)
    names = ["log_prob", "bits_per_dim", "percentile", "complexity_corrected", "typicality"]
    assert list(scores.columns()) == names
    assert {values.shape for values in scores.columns().values()} == {(7,)}


def same_scores_in_other_batches(run: Run, x: np.ndarray, reference: np.ndarray) -> None:
    whole = score_examples(run, Examples(x), Examples(reference)).columns()
    for num in (len(x), 4):
        part = score_examples(run, Examples(x[:num]), Examples(reference), batch_size=3).columns()
        for name, values in part.items():
            np.testing.assert_allclose(values, whole[name][:num], rtol=1e-5, atol=1e-5)


def test_scores_of_images_do_not_depend_on_the_batch_size_or_on_the_other_examples():
    same_scores_in_other_batches(with_parameters(RGB()), pixels(10, 4, 4, 3), pixels(10, 4, 4, 3, seed=1))


def test_the_complexity_of_random_crops_is_that_of_the_part_that_is_evaluated():
    run, x = with_parameters(of_images(crop="random", resize=6)), pixels(7, 6, 6, 3)
    x[:, :3] = 7
    scores = score_examples(run, Examples(x), Examples(x))
    cut = np.asarray(random_crop(evaluation_key(), jnp.arange(7), jnp.asarray(x), (4, 4, 3)))
    np.testing.assert_allclose(scores.bits_per_dim, bits_of(run, cut, evaluation_key()), rtol=1e-5)
    np.testing.assert_allclose(scores.bits_per_dim - scores.complexity_corrected, smaller_file(cut))
    already_cut = score_examples(run, Examples(cut), Examples(x))
    np.testing.assert_allclose(already_cut.log_prob, scores.log_prob, rtol=1e-5)


def test_the_complexity_of_grey_images_is_that_of_their_own_levels():
    run, x = with_parameters(GREY()), pixels(4, 8, 8, 1, levels=17)
    x[1] = 16
    scores = score_examples(run, Examples(x), Examples(x))
    complexity = scores.bits_per_dim - scores.complexity_corrected
    np.testing.assert_allclose(complexity, smaller_file(x))
    assert complexity.argmin() == 1


def test_images_of_two_channels_have_no_complexity():
    x = pixels(4, 2, 2, 2)
    scores = score_examples(with_parameters(of_images((2, 2, 2))), Examples(x), Examples(x))
    assert list(scores.columns()) == ["log_prob", "bits_per_dim", "percentile", "typicality"]
    assert "input complexity" not in aurocs(scores, scores)


def test_scores_of_vectors_are_what_they_are_said_to_be():
    run, x, reference = PLANE(), 2 * points(15, 2), points(30, 2, seed=1)
    scores = score_examples(run, Examples(x), Examples(reference))
    log_prob = np.asarray(run.flow.log_prob(run.params, x))
    of_reference = np.asarray(run.flow.log_prob(run.params, reference))
    np.testing.assert_allclose(scores.log_prob, log_prob, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores.typicality, np.abs(of_reference.mean() - log_prob), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores.percentile, [100 * np.mean(of_reference < value) for value in log_prob])
    assert list(scores.columns()) == ["log_prob", "percentile", "typicality"]
    far = score_examples(run, Examples(np.full((2, 2), 1e3, np.float32)), Examples(reference))
    assert far.percentile.tolist() == [0, 0]
    assert (far.typicality > scores.typicality.max()).all()


def test_the_percentile_of_the_reference_itself_is_its_rank():
    reference = Examples(points(20, 2))
    scores = score_examples(PLANE(), reference, reference)
    assert sorted(scores.percentile) == [5.0 * i for i in range(20)]
    np.testing.assert_array_equal(np.argsort(scores.percentile), np.argsort(scores.log_prob))


def test_the_context_counts():
    run, x, context = CONDITIONAL(), points(9, 2), points(9, 2, seed=1)
    scores = score_examples(run, Examples(x, context), Examples(x, context))
    expected = run.flow.log_prob(run.params, x, context)
    np.testing.assert_allclose(scores.log_prob, expected, rtol=1e-5, atol=1e-5)


def test_scores_of_vectors_do_not_depend_on_the_batch_size_or_on_the_other_examples():
    same_scores_in_other_batches(PLANE(), points(10, 2), points(10, 2, seed=1))


def test_densities_that_are_no_numbers_are_not_hidden():
    run, reference = PLANE(), Examples(points(5, 2))
    broken = np.array([[np.nan, 0], [0, 0]], np.float32)
    scores = score_examples(run, Examples(broken), reference)
    for values in scores.columns().values():
        assert np.isnan(values).tolist() == [True, False]
    message = refusal(score_examples, run, reference, Examples(broken))
    assert message == "expected finite densities of the reference; got 1 of 2 that are not"
    message = refusal(aurocs, scores, scores)
    assert message == "expected scores of the data inside that are numbers; got 1 that are NaN of 2"


def test_examples_that_do_not_fit_are_refused():
    x, v = Examples(pixels(5, 4, 4, 3)), Examples(points(5, 2))
    assert refusal(score_examples, RGB(), x.first(0), x) == "expected examples to score; got none"
    assert refusal(score_examples, RGB(), x, x.first(0)) == "expected reference examples; got none"
    assert "batch size of at least 1; got 0" in refusal(score_examples, RGB(), x, x, batch_size=0)
    larger = Examples(pixels(5, 6, 6, 3))  # a crop at random would be scored without a word
    message = refusal(score_examples, RGB(), larger, x)
    assert message == "expected examples to score of shape (4, 4, 3); got (6, 6, 3)"
    assert "expected reference examples of shape (4, 4, 3); got" in refusal(score_examples, RGB(), x, larger)
    assert "(2,); got (3,)" in refusal(score_examples, PLANE(), Examples(points(5, 3)), v)
    grey = Examples(pixels(5, 8, 8, 1))
    assert "expected pixels in [0, 17); got values" in refusal(score_examples, GREY(), grey, grey)
    with pytest.raises(TypeError, match="expected integer pixels"):
        score_examples(RGB(), Examples(points(5, 4, 4, 3)), x)
    with pytest.raises(TypeError, match="expected examples to score of floating-point values; got int64"):
        score_examples(PLANE(), Examples(np.zeros((5, 2), int)), v)


# areas under the ROC curve


def made_up(log_prob, corrected=None, typicality=None) -> Scores:
    """Scores with these values."""
    log_prob = np.array(log_prob, float)
    corrected = None if corrected is None else np.array(corrected, float)
    typicality = np.abs(log_prob) if typicality is None else np.array(typicality, float)
    return Scores(log_prob, np.zeros(len(log_prob)), typicality, -log_prob, corrected)


def test_areas_are_oriented_so_that_one_is_perfect():
    inside = made_up([-1, -2, -3], corrected=[1, 2, 3], typicality=[0.1, 0.2, 0.3])
    outside = made_up([-4, -5], corrected=[4, 5], typicality=[0.4, 0.5])
    assert aurocs(inside, outside) == {"likelihood": 1.0, "input complexity": 1.0, "typicality": 1.0}
    assert aurocs(outside, inside) == {"likelihood": 0.0, "input complexity": 0.0, "typicality": 0.0}
    assert aurocs(inside, inside) == {"likelihood": 0.5, "input complexity": 0.5, "typicality": 0.5}
    constant = made_up([1, 1], corrected=[1, 1], typicality=[1, 1])
    assert set(aurocs(constant, constant).values()) == {0.5}


def test_areas_are_probabilities_of_pairs():
    rng = np.random.default_rng(0)
    inside = made_up(rng.integers(0, 9, 30), rng.integers(0, 9, 30), rng.integers(0, 9, 30))
    outside = made_up(rng.integers(0, 9, 20), rng.integers(3, 12, 20), rng.integers(0, 6, 20))
    for name, (normal, other) in {
        "likelihood": (-inside.log_prob, -outside.log_prob),
        "input complexity": (inside.complexity_corrected, outside.complexity_corrected),
        "typicality": (inside.typicality, outside.typicality),
    }.items():
        pairs = [(b > a) + 0.5 * (b == a) for a, b in itertools.product(normal, other)]
        assert aurocs(inside, outside)[name] == pytest.approx(np.mean(pairs))
        labels = [0] * 30 + [1] * 20
        assert aurocs(inside, outside)[name] == pytest.approx(roc_auc_score(labels, np.concatenate([normal, other])))


def test_areas_of_infinite_none_and_missing_scores():
    areas = aurocs(made_up([-1, -2]), made_up([-np.inf, -1.5], corrected=[1, 2]))
    assert areas == {"likelihood": 0.75, "typicality": 0.75}
    message = refusal(aurocs, made_up([-1]), made_up([]))
    assert message == "expected scores of the data outside that are numbers; got none of 0"
