"""Tables are split, checked and loaded."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from realnvp_jax.data.dataset import dataset_names
from realnvp_jax.data.vectors.mixture import GaussianMixture, sample_synthetic_table
from realnvp_jax.registry import listed
from tests.data.vectors.helpers import PARTS, SPLITS, load_table, sorted_rows, table_of, write
from tests.helpers import refusal


@pytest.mark.parametrize("name", ["table", "breast_cancer", "wine"])
def test_splits_are_disjoint_and_complete(tmp_path, name):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "t.npz", table_of(("a", "b"), rng.normal(size=(101, 2)).astype(np.float32)))
    columns, splits = load_table(name, str(path), "", SPLITS, 0)
    everything = load_table(name, str(path), "", {"test": "all"}, 1)[1]["test"]
    together = np.concatenate(list(splits.values()))
    assert list(splits) == list(SPLITS)
    assert together.shape == (len(everything), len(columns))
    assert len(splits["train"]) == round(0.8 * len(everything))
    assert not np.array_equal(together, everything)
    np.testing.assert_array_equal(sorted_rows(together), sorted_rows(everything))
    np.testing.assert_array_equal(splits["test"], load_table(name, str(path), "", SPLITS, 0)[1]["test"])


def test_breast_cancer_keeps_its_names_and_rows():
    columns, splits = load_table("breast_cancer", "", "", {"test": "all"}, 0)
    assert columns[0] == "mean radius"
    data = load_breast_cancer().data.astype(np.float32)
    np.testing.assert_array_equal(sorted_rows(splits["test"]), sorted_rows(data))


def test_generated_tables_load():
    columns, splits = load_table("synthetic_table", "", "", SPLITS, 5)
    assert {role: part.shape for role, part in splits.items()} == {
        "train": (160_000, 6), "validation": (20_000, 6), "test": (20_000, 6)
    }  # fmt: skip
    np.testing.assert_array_equal(splits["train"][:2], sample_synthetic_table(200_000, 5)[1][:2])

    columns, splits = load_table("gaussian_mixture", "", "", {**PARTS, "train": "train[:100]"}, 5)
    assert columns[7] == "column 7"
    assert [part.shape for part in splits.values()] == [(100, 8), (20_000, 8), (20_000, 8)]
    np.testing.assert_array_equal(splits["test"], GaussianMixture().sample(np.random.default_rng([5, 2]), 20_000))


def test_bad_splits_and_names_are_refused():
    def load(name, **splits):
        return refusal(load_table, name, "", "", splits, 0)

    assert load("wine", train="all[:0]") == "expected rows in dataset.train='all[:0]'; got none of 178"
    assert "expected a part of all of 'wine', such as all[:80%]; got dataset.test='test'" in load("wine", test="test")
    assert "expected a part of train or validation or test of 'power'" in load("power", test="all")
    assert "expected a split" in load("wine", test="all[:80")
    assert "did you mean 'wine'?" in load("wines", test="all")
    assert f"one of {listed(dataset_names(of_images=False))}; got" in load("x" * 500, test="all")


def test_a_column_that_is_constant_in_training_alone_is_refused(tmp_path):
    b = np.zeros(100)
    b[np.random.default_rng(0).permutation(100)[0]] = 1  # the first row after shuffling
    np.savez(tmp_path / "t.npz", a=np.arange(100), b=b)
    assert len(load_table("table", str(tmp_path / "t.npz"), "", {"train": "all[:50%]"}, 0)[1]["train"]) == 50
    message = refusal(load_table, "table", str(tmp_path / "t.npz"), "", {"train": "all[50%:]"}, 0)
    assert "constant 0 in column 'b'" in message
