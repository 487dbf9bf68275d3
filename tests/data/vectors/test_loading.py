"""Tables are split, checked and loaded."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from realnvp_jax.checks import check_independent
from realnvp_jax.data.dataset import DataSet, dataset_names
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.named import find_dataset
from realnvp_jax.data.vectors.loading import VectorOptions, load_vectors
from realnvp_jax.data.vectors.mixture import GaussianMixture, sample_synthetic_table
from realnvp_jax.registry import listed
from tests.data.vectors.helpers import PARTS, SPLITS, load_table, sorted_rows, table_of, write
from tests.helpers import refusal

NAMES = {"train": "all[:60%]", "validation": "all[60%:80%]", "test": "all[80%:]"}


def table_file(path, **keys) -> DataSet:
    """A table of a label, a constant, a count, and two continuous columns, one of which has gaps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.standard_normal(200), "y": rng.standard_normal(200), "count": rng.poisson(3, 200)})
    frame["kind"], frame["one"] = rng.choice(["a", "b"], 200), 1
    frame.loc[3:7, "y"] = np.nan
    frame.to_csv(path, index=False)
    return find_dataset({"name": "table", "path": str(path), **keys}, of_images=False)


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


def test_columns_are_chosen_and_rows_with_gaps_dropped(tmp_path):
    dataset = table_file(tmp_path / "t.csv", drop="kind,one", missing="drop", context="count")
    splits = load_vectors(dataset, NAMES, VectorOptions(context=("count",)))
    assert (splits.columns, splits.all_columns) == (("x", "y"), ("x", "y", "count"))
    assert splits.unused_columns == ("kind", "one")
    assert sum(map(len, (splits.train, splits.validation, splits.test))) == 195
    assert splits.notes == ("columns left out: 'kind, one'", "rows dropped because a value is missing: 5 of 200")
    dataset = table_file(tmp_path / "t.csv", drop="kind,one", context="count")
    message = refusal(load_vectors, dataset, NAMES, VectorOptions(context=("count",)))
    assert message.startswith(
        "expected a value in every cell of 't.csv'; got none in 5 of 200 rows, the first in line 5,"
    )
    assert "with --config.dataset.missing=drop" in message
    dataset = table_file(tmp_path / "t.csv", columns="x,count")
    assert load_vectors(dataset, NAMES, VectorOptions(discrete="continuous")).columns == ("x", "count")
    dataset = table_file(tmp_path / "t.csv", columns="x,count", missing="fill")
    assert "expected dataset.missing to be 'refuse' or 'drop'; got 'fill'" in refusal(load_vectors, dataset, NAMES)


def test_discrete_columns_are_refused_dropped_or_dequantized(tmp_path):
    dataset = table_file(tmp_path / "t.csv", drop="kind,one", missing="drop")
    raw = load_vectors(dataset, NAMES, VectorOptions(discrete="continuous"))
    message = refusal(load_vectors, dataset, NAMES)
    assert "% of the rows of column 'count' repeat one of" in message
    dropped = load_vectors(dataset, NAMES, VectorOptions(discrete="drop"))
    assert dropped.columns == ("x", "y")
    assert dropped.unused_columns == ("kind", "one", "count")
    assert dropped.notes[-1] == "discrete columns left out: 'count'"
    noisy = load_vectors(dataset, NAMES, VectorOptions(discrete="dequantize"))
    assert noisy.grids == {"count": (0, 1)}
    for role in NAMES:
        before, after = getattr(raw, role).x, getattr(noisy, role).x
        np.testing.assert_array_equal(after[:, :2], before[:, :2])
        np.testing.assert_array_equal(np.round(after[:, 2]), before[:, 2])
        assert len(np.unique(after[:, 2])) == len(after)
    again = load_vectors(dataset, NAMES, VectorOptions(discrete="dequantize"))
    np.testing.assert_array_equal(again.test.x, noisy.test.x)
    other = load_vectors(dataset, NAMES, VectorOptions(discrete="dequantize", seed=1))
    assert not np.array_equal(other.test.x, noisy.test.x)
    message = refusal(load_vectors, dataset, NAMES, VectorOptions(discrete="maybe"))
    assert message.startswith(
        "expected dataset.discrete to be one of ('refuse', 'dequantize', 'drop', 'continuous'); got"
    )
    dataset = table_file(tmp_path / "t.csv", columns="x,count")
    message = refusal(load_vectors, dataset, NAMES, VectorOptions(discrete="drop"))
    assert message.endswith("(an autoregressive_flow takes one); got 1 and 1 that are discrete")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (1.7e9 + 1000 * np.random.default_rng(1).random(99), "got column 'b' with values up to 170000"),
        (
            np.arange(99) * 1e-44 + 1e-42,
            "standard deviation of at least 1e-30, for float32; got 1.7e-43 in",
        ),
        (
            np.random.default_rng(0).standard_normal(99),
            "got the same values in column 'a' and column 'b': their",
        ),
        (np.full(99, 2), "constant 2 in column 'b'"),
        (np.random.default_rng(1).standard_normal(99) * 1e39, "got NaN or infinite ones"),
    ],
)
def test_columns_that_float32_or_a_density_cannot_hold_are_refused(monkeypatch, column, expected):
    a = np.random.default_rng(0).standard_normal(99)
    dataset = find_dataset({"name": "synthetic_table"}, of_images=False)
    x = np.stack([a, column], axis=1)
    monkeypatch.setattr(type(dataset), "load", lambda self, split: Examples(x, columns=("a", "b")))
    message = refusal(load_vectors, dataset, NAMES)
    assert expected in message
    monkeypatch.setattr(type(dataset), "load", lambda self, split: Examples(x[:, ::-1], columns=("b", "a")))
    assert "column 'b'" in refusal(load_vectors, dataset, NAMES)
    options = VectorOptions(columns=("a",))
    assert load_vectors(dataset, NAMES, options, min_columns=1).columns == ("a",)  # of any data set


def test_a_column_of_times_keeps_its_values_without_its_offset():
    time = 1.7e9 + 1000 * np.random.default_rng(1).random(2000)
    assert len(np.unique(time.astype(np.float32))) < 30
    assert len(np.unique((time - 1.7e9).astype(np.float32))) > 1990


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    """300 files with bytes changed, cut out or inserted."""
    rng = np.random.default_rng(0)
    num = 60
    frame = pd.DataFrame({"id": [f"S{i}" for i in range(num)], "city": rng.choice(["Bern", "Zürich"], num)})
    frame["x"], frame["y"], frame["k"] = rng.standard_normal(num), 1e5 * rng.random(num), rng.poisson(3, num)
    frame.to_csv(tmp_path / "commas.csv", index=False)
    frame.to_csv(tmp_path / "semicolons.csv", index=False, sep=";", decimal=",")
    frame.to_parquet(tmp_path / "t.parquet")
    np.savez(
        tmp_path / "arrays.npz",
        **{name: frame[name].to_numpy().astype("U" if name in ("id", "city") else float) for name in frame},
    )
    np.savez_compressed(tmp_path / "matrix.npz", x=frame[["x", "y", "k"]].to_numpy(), columns=np.array(["x", "y", "k"]))
    originals = sorted(tmp_path.iterdir())
    messages = []
    for i in range(300):
        original = originals[i % len(originals)]
        content = bytearray(original.read_bytes())
        start, length = int(rng.integers(len(content))), int(rng.integers(1, 40))
        if i % 4 == 0:
            del content[start:]
        elif i % 4 == 1:
            del content[start : start + length]
        elif i % 4 == 2:
            content[start:start] = rng.bytes(length)
        else:
            for place in rng.integers(len(content), size=length):
                content[place] = rng.integers(256)
        path = tmp_path / f"damaged{original.suffix}"
        path.write_bytes(content)
        keys = {"name": "table", "path": str(path), "context": "city", "drop": "id", "missing": "drop"}
        try:
            if original.name == "matrix.npz":
                keys |= {"context": "", "drop": ""}
            dataset = find_dataset(keys, of_images=False)
            found = dataset.find_categories() if keys["context"] else ()
            dataset = dataclasses.replace(dataset, categories=found)
            load_vectors(dataset, NAMES, VectorOptions(context=found, discrete="dequantize"))
        except ValueError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert all(message.startswith("expected ") and len(message) <= 400 for message in messages)


def test_columns_that_are_linear_functions_of_each_other_are_refused():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 3))
    for dependent in (x[:, 0] / 10, 2 * x[:, 0] - x[:, 2] + 7):
        table = np.column_stack([x, dependent]).astype(np.float32)
        message = refusal(check_independent, table, ("a", "b", "c", "d"))
        assert "got such a relation between column 'a', column " in message
        assert "column 'b'" not in message
    check_independent(np.column_stack([x, x[:, 0] + 1e-3 * rng.standard_normal(500)]))
    check_independent(x[:3])  # too few rows to tell


def test_dependence_is_found_where_rounding_to_float32_hides_it():
    rng = np.random.default_rng(0)
    x = 5e3 + rng.standard_normal((500, 2))  # in float32, 2,000 steps per standard deviation
    dependent = np.column_stack([x, x[:, 0] + x[:, 1]]).astype(np.float32)
    assert "such a relation between column 0, column 1, column 2" in refusal(check_independent, dependent)
    check_independent(np.column_stack([x, x[:, 0] + 0.01 * rng.standard_normal(500)]).astype(np.float32))
