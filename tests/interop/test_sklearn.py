"""`FlowDensity`: scikit-learn's own checks, and the density that it learns."""

import dataclasses
import pickle
import re

import jax
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import realnvp_jax
from realnvp_jax import FlowDensity
from realnvp_jax.interop import sklearn as adapter
from tests.helpers import refusal

FLOW = realnvp_jax.vector_flow(2, num_layers=2, hidden=(8,))
draws = np.random.default_rng(0).normal(size=(2, 300))
bounded = dataclasses.replace(FLOW, preprocessing=realnvp_jax.Rescale(256))
rows = np.stack([5 + draws[0], 1000 + 50 * draws[0] ** 2 + 25 * draws[1]], 1)


@pytest.fixture(scope="module")
def fitted():
    return FlowDensity(FLOW, max_steps=300, learning_rate=1e-2, random_state=0).fit(rows)


def test_the_density_outside_of_scikit_learn(fitted):
    scores = fitted.score_samples(rows)
    assert scores.shape == (300,)
    np.testing.assert_allclose(fitted.mean_, rows.mean(0))
    np.testing.assert_allclose(fitted.scale_, rows.std(0))
    log_probs = fitted.flow_.log_prob(fitted.params_, (rows - fitted.mean_) / fitted.scale_)
    np.testing.assert_allclose(scores, log_probs - np.log(fitted.scale_).sum(), rtol=1e-5)
    assert fitted.score(rows) == pytest.approx(scores.mean())
    assert fitted.n_features_in_ == 2
    truth = (-0.5 * np.square(draws).sum(0) - np.log(2 * np.pi * 25)).mean()
    gaussian = -0.5 * np.linalg.slogdet(2 * np.pi * np.e * np.cov(rows.T))[1]
    assert (gaussian + truth) / 2 < fitted.score(rows) < truth + 0.05
    assert fitted.history_.best_step <= 300


def test_a_column_far_from_zero_keeps_its_digits():
    """Seconds since 1970, of which float32 holds multiples of 128."""
    train, test = np.random.default_rng(1).normal(size=(2, 2000, 2))
    units = np.array([1000.0, 1.0]), np.array([1.7e9, 0.0])
    density = FlowDensity(FLOW, max_steps=300, learning_rate=1e-2, random_state=0).fit(train * units[0] + units[1])
    truth = -0.5 * np.square(test).sum(1) - np.log(2 * np.pi * 1000)
    standard_error = truth.std() / np.sqrt(len(test))
    assert density.score(test * units[0] + units[1]) == pytest.approx(truth.mean(), abs=2 * standard_error)
    x = density.sample(2000, random_state=0)
    assert x.dtype == np.float64
    assert len(np.unique(x[:, 0])) > 1900
    np.testing.assert_allclose((x.mean(0) - units[1]) / units[0], 0, atol=0.1)
    np.testing.assert_allclose(x.std(0) / units[0], 1, atol=0.1)


@pytest.mark.parametrize("row", [[5.0, 1e308], [1e308, 1000.0], [-1e308, 1e308]])
def test_the_furthest_rows_have_the_lowest_score(fitted, row):
    assert fitted.score_samples([row]) == -np.inf


def test_the_score_of_a_row_does_not_depend_on_the_others(fitted, monkeypatch):
    scores = fitted.score_samples(rows)
    np.testing.assert_array_equal(fitted.score_samples(rows[7:9]), scores[7:9])
    monkeypatch.setattr(adapter, "_BLOCK", 128)
    np.testing.assert_allclose(fitted.score_samples(rows), scores, rtol=1e-5)


def test_samples_come_from_a_seed(fitted):
    x = fitted.sample(2000, random_state=1)
    assert x.shape == (2000, 2)
    np.testing.assert_allclose(x.mean(0), rows.mean(0), rtol=0.05)
    np.testing.assert_array_equal(fitted.sample(2000, random_state=1), x)
    assert not np.array_equal(fitted.sample(2000), x)
    assert fitted.sample().shape == (1, 2)
    assert "n_samples of at least 1" in refusal(fitted.sample, 0)


@pytest.mark.slow
def test_the_seed_decides_the_parameters(fitted):
    again, other = (clone(fitted).set_params(random_state=seed).fit(rows) for seed in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, again.params_, fitted.params_)
    assert again.score(rows) != other.score(rows)


def test_it_pickles_and_clones(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.score_samples(rows), fitted.score_samples(rows))
    assert clone(fitted).get_params() == fitted.get_params()


@pytest.mark.slow
def test_within_a_pipeline_and_a_search():
    table = pd.DataFrame(rows, columns=["length", "weight"])
    search = GridSearchCV(FlowDensity(FLOW, max_steps=50, random_state=0), {"learning_rate": [1e-2, 1e-5]}, cv=2)
    search.fit(table)
    assert search.best_params_ == {"learning_rate": 1e-2}
    np.testing.assert_array_equal(search.best_estimator_.feature_names_in_, ["length", "weight"])
    pipeline = make_pipeline(StandardScaler(), FlowDensity(FLOW, max_steps=50)).fit(rows)
    assert pipeline.score_samples(rows).shape == (300,)


def test_an_outlier_scores_lower_than_every_row(fitted):
    assert fitted.score_samples([[5.0, 1500.0]]) < fitted.score_samples(rows).min()


def test_one_column_has_an_autoregressive_flow():
    assert adapter._default_flow(1) == realnvp_jax.autoregressive_flow(1)
    assert adapter._default_flow(3) == realnvp_jax.vector_flow(3)
    flow = realnvp_jax.autoregressive_flow(1, 2, (4,))
    assert FlowDensity(flow, max_steps=50).fit(rows[:, :1]).score_samples(rows[:5, :1]).shape == (5,)


@pytest.mark.parametrize(
    ("options", "data", "message"),
    [
        ({"flow": realnvp_jax.vector_flow(3)}, rows, "expected an unconditional flow of 2 columns"),
        ({"flow": realnvp_jax.vector_flow(2, context=1)}, rows, "expected an unconditional flow of 2 columns"),
        ({"flow": "vector_flow"}, rows, "expected an unconditional flow of 2 columns"),
        ({"validation_fraction": 0.001}, rows, "hold out some of the 300 rows"),
        ({"validation_fraction": 1.0}, rows, "hold out some of the 300 rows"),
        ({"validation_fraction": "0.1"}, rows, "hold out some of the 300 rows"),
        ({"max_steps": 0}, rows, "max_steps of at least 1"),
        ({"batch_size": 0.5}, rows, "batch_size to be an integer"),
        ({"patience": 0}, rows, "patience of at least 1"),
        ({"learning_rate": -1.0}, rows, "learning_rate above 0"),
        ({"flow": bounded}, rows, "expected an unconditional flow of 2 columns of real numbers"),
        ({}, np.stack([rows[:, 0], np.ones(300)], 1), "got the constant 1 in column 1"),
        ({}, pd.DataFrame({"length": rows[:, 0], "one": 1.0}), "got the constant 1 in column 'one'"),
        (
            {},
            np.stack([rows[:, 0], np.where(rows[:, 0] > 5, 0.1 + 0.2, 0.3)], 1),
            "standard deviation float64 can hold",
        ),
        ({}, rows * 1e300, "to 1e+150; got inf in column 0"),
        ({}, pd.DataFrame(rows * 1e-300, columns=["length", "weight"]), "got 0 in column 'length'"),
    ],
)
def test_bad_parameters_and_constant_columns_have_a_sentence(options, data, message):
    assert message in refusal(FlowDensity(**{"flow": FLOW, **options}).fit, data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (rows[:1], "1 sample(s)"),
        (rows[:9], "minimum of 10 is required"),
        (np.where(rows > 1200, np.nan, rows), "contains NaN"),
        (np.where(rows > 1200, np.inf, rows), "contains infinity"),
        (rows[0], "Expected 2D array"),
    ],
)
def test_bad_tables_have_scikit_learns_messages(data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FlowDensity(FLOW).fit(data)


def test_scores_need_a_fit_and_its_columns(fitted):
    with pytest.raises(NotFittedError):
        FlowDensity().score_samples(rows)
    with pytest.raises(NotFittedError):
        FlowDensity().sample()
    failed = FlowDensity(FLOW)
    assert "constant" in refusal(failed.fit, np.ones((300, 2)))
    with pytest.raises(NotFittedError):
        failed.score_samples(rows)
    with pytest.raises(ValueError, match="X has 1 features, but FlowDensity is expecting 2 features"):
        fitted.score_samples(rows[:, :1])


@pytest.mark.slow
def test_check_estimator():
    """About sixty fits, which are short: each checks a rule of scikit-learn's, and none how good the density is."""
    results = check_estimator(FlowDensity(max_steps=60), on_skip=None)
    statuses = [result["status"] for result in results]
    print({status: statuses.count(status) for status in set(statuses)})
    others = {result["check_name"] for result in results if result["status"] != "passed"}
    assert others <= {
        "check_array_api_input"
    }  # of other array libraries: skipped unless an environment variable is set
    assert len(results) > 30
