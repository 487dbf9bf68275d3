"""Toy data, tables, and the files that tables come from."""

import builtins
import math
import pickle
import sys
import types
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.datasets import load_breast_cancer, make_moons

from realnvp_jax.data.dataset import dataset_names
from realnvp_jax.data.named import find_dataset
from realnvp_jax.data.vectors.loading import load_rows
from realnvp_jax.data.vectors.mixture import GaussianMixture, sample_synthetic_table
from realnvp_jax.data.vectors.table_files import Table, read_table
from realnvp_jax.data.vectors.toy import TOY, sample_toy
from tests.helpers import refusal

SPLITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}
PARTS = {"train": "train", "validation": "validation", "test": "test"}


def load_table(name: str, path: str, data_dir: str, split_names: dict[str, str], seed: int):
    """Names of the columns, and the rows of each split."""
    keys = {"name": name, "path": path, "data_dir": data_dir, "seed": seed}
    return load_rows(find_dataset(keys, of_images=False), split_names)


@pytest.mark.parametrize("name", TOY)
def test_toy_points_depend_on_the_seed_alone(name):
    x = sample_toy(name, 101, 0)
    assert x.shape == (101, 2)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    np.testing.assert_array_equal(x, sample_toy(name, 101, 0))
    assert not np.array_equal(x, sample_toy(name, 101, 1))
    assert not np.array_equal(x, sample_toy(name, 101, [0, 1]))
    assert sample_toy(name, 1, 0).shape == (1, 2)


@pytest.mark.parametrize("name", TOY)
def test_toy_points_come_in_random_order_from_one_law(name):
    x = sample_toy(name, 8000, 0)
    other = sample_toy(name, 8000, 1)
    for axis in range(2):
        assert stats.ks_2samp(x[:4000, axis], x[4000:, axis]).pvalue > 1e-3
        assert stats.ks_2samp(x[:, axis], other[:, axis]).pvalue > 1e-3


def test_moons_are_those_of_scikit_learn():
    x, expected = sample_toy("moons", 20000, 0), make_moons(20000, noise=0.1, random_state=7)[0]
    np.testing.assert_allclose(x.mean(axis=0), expected.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(x.T), np.cov(expected.T), atol=0.02)


def test_toy_laws():
    radius = np.linalg.norm(sample_toy("circles", 10000, 0), axis=1)
    assert abs((radius > 0.75).mean() - 0.5) < 0.01
    assert abs(radius.mean() - 0.75) < 0.01

    smiley = sample_toy("smiley", 30000, 0)
    for eye in [(-1.5, 2.5), (1.5, 2.5)]:
        here = np.linalg.norm(smiley - np.array(eye), axis=1) < 1
        assert abs(here.mean() - 1 / 3) < 0.01
        np.testing.assert_allclose(smiley[here].mean(axis=0), eye, atol=0.02)
        np.testing.assert_allclose(smiley[here].std(axis=0), 0.2, atol=0.01)
    mouth = smiley[smiley[:, 1] < 1]
    np.testing.assert_allclose(mouth.mean(axis=0), [0, -2 / math.pi], atol=0.05)
    np.testing.assert_allclose(mouth.var(axis=0), [2.04, 0.54 - 4 / math.pi**2], atol=0.05)

    board = sample_toy("checkerboard", 10000, 0)
    assert np.abs(board).max() <= 4
    column, row = np.floor(board / 2).astype(int).T
    assert ((column + row) % 2 == 0).all()
    assert len(set(zip(column, row, strict=True))) == 8

    eight = sample_toy("eight_gaussians", 10000, 0)
    assert abs(np.mean(eight**2) - (8 + 2 * 0.125) / 2) < 0.05
    assert 2.5 < np.abs(sample_toy("swiss_roll", 10000, 0)).max() < 4
    assert np.ptp(sample_toy("random", 10000, 0), axis=0).max() <= 1
    np.testing.assert_allclose(sample_toy("pinwheel", 50000, 0).mean(axis=0), 0, atol=0.05)


def test_unknown_toy_data_are_refused():
    assert "did you mean 'moons'?" in refusal(sample_toy, "moon", 10, 0)
    assert "one of moons, circles" in refusal(sample_toy, "x" * 500, 10, 0)
    assert "got num=0" in refusal(sample_toy, "moons", 0, 0)


def test_mixture_density_agrees_with_scipy():
    mixture = GaussianMixture(num_components=3, num_dims=5, seed=2)
    x = mixture.sample(np.random.default_rng(0), 50)
    assert x.dtype == np.float32
    density = np.zeros(50)
    for mean, deviation, rotation in zip(mixture.means, mixture.deviations, mixture.rotations, strict=True):
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(5), atol=1e-12)
        covariance = rotation @ np.diag(deviation**2) @ rotation.T
        density += stats.multivariate_normal(mean, covariance).pdf(x) / 3
    assert mixture.log_density(x).dtype == np.float64
    np.testing.assert_allclose(mixture.log_density(x), np.log(density), rtol=1e-9)


def test_mixture_density_integrates_to_one():
    axis = np.linspace(-9, 9, 400)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(GaussianMixture(num_dims=2, seed=1).log_density(grid))
    assert abs(density.sum() * (axis[1] - axis[0]) ** 2 - 1) < 1e-6


def test_mixture_samples_follow_its_density():
    one = GaussianMixture(num_components=1)
    log_density = one.log_density(one.sample(np.random.default_rng(0), 20000))
    expected = -4 * math.log(2 * math.pi * math.e) - np.log(one.deviations).sum()
    assert abs(log_density.mean() - expected) < 4 * log_density.std() / math.sqrt(20000)

    mixture = GaussianMixture()
    x = mixture.sample(np.random.default_rng(0), 40000)
    scaled = mixture.rotations * mixture.deviations[:, None, :]
    covariance = (scaled @ scaled.mT).mean(axis=0) + np.cov(mixture.means.T, bias=True)
    np.testing.assert_allclose(x.mean(axis=0), mixture.means.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.1)
    # The entropy of a mixture is at least that of its components, and at most log K more.
    gain = mixture.log_density(x).mean() + 4 * math.log(2 * math.pi * math.e) + np.log(mixture.deviations).sum() / 4
    assert -math.log(4) < gain < 0
    assert not np.array_equal(mixture.means, GaussianMixture(seed=1).means)


def test_synthetic_table_is_dependent_and_not_gaussian():
    columns, x = sample_synthetic_table(20000, 3)
    assert len(columns) == x.shape[1] == 6
    np.testing.assert_array_equal(x, sample_synthetic_table(20000, 3)[1])
    assert np.isfinite(x).all()
    assert np.log10(x.std(axis=0)).max() - np.log10(x.std(axis=0)).min() > 4
    values = dict(zip(columns, x.T, strict=True))
    assert stats.skew(values["size"]) > 1
    assert stats.kurtosis(values["error"]) > 3
    assert np.histogram(values["heat"], [-6, 2, 6, 14])[0].argmin() == 1
    assert abs(stats.spearmanr(values["heat"], values["load"])[0]) < 0.5
    assert stats.spearmanr((values["heat"] - 4) ** 2, values["load"])[0] > 0.5
    for name in columns:
        assert len(np.unique(values[name])) > 19000


@pytest.fixture
def table() -> Table:
    values = np.random.default_rng(0).normal(size=(10, 3)).astype(np.float32)
    return Table(("a", "b c", "d,e"), values)


def write(path, table: Table):
    frame = pd.DataFrame(table.values, columns=list(table.columns))
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.stem == "arrays":
        np.savez(path, **{name: frame[name].to_numpy() for name in reversed(table.columns)}, columns=table.columns)
    else:
        np.savez(path, x=table.values, columns=np.array(table.columns))
    return path


@pytest.mark.parametrize("name", ["t.csv", "T.parquet", "matrix.npz", "arrays.npz"])
def test_tables_are_read_as_written(tmp_path, table, name):
    read = read_table(write(tmp_path / name, table))
    assert read.columns == table.columns
    np.testing.assert_array_equal(read.values, table.values)
    assert read.values.dtype == np.float32


def test_integers_and_booleans_become_floats(tmp_path):
    frame = pd.DataFrame({"i": [1, 2, 3], "b": [True, False, True], "big": [10**30, 1, 2], "n": pd.array([1, 2, 4])})
    expected = [[1, 1, 1e30, 1], [2, 0, 1, 2], [3, 1, 2, 4]]
    frame.to_csv(tmp_path / "t.csv", index=False)
    np.testing.assert_allclose(read_table(str(tmp_path / "t.csv")).values, expected)
    frame.drop(columns="big").to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(read_table(tmp_path / "t.parquet").values, np.delete(expected, 2, axis=1))
    np.savez(tmp_path / "t.npz", i=np.array([1, 2, 3], np.uint8), b=np.array([True, False, True]))
    assert read_table(tmp_path / "t.npz").columns == ("i", "b")
    np.savez(tmp_path / "t.npz", np.array([[1, 2], [3, 5]]))
    assert read_table(tmp_path / "t.npz").columns == ("column 0", "column 1")


def test_csv_blank_lines_quotes_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeff\n"a", b\r\n\n1,2\r\n   \n"3",1e2\n', encoding="utf-8")
    read = read_table(tmp_path / "t.csv")
    assert read.columns == ("a", "b")
    np.testing.assert_array_equal(read.values, [[1, 2], [3, 100]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n\n3,red\n", "column 'b' of 't.csv'; got 'red' in line 4"),
        ("a,b\n1,2\nTrue,3\n", "column 'a' of 't.csv'; got 'True' in line 3"),
        ("a,b\n1,2\nNA,3\n-,4\n", "column 'a' of 't.csv'; got '-' in line 4"),
        ("a,b\n1,2\n" + "x" * 1000 + ",3\n", "column 'a' of 't.csv'; got 'xxx"),
        ("a,b\n1,2\n2020-01-01,3\n", "column 'a' of 't.csv'; got '2020-01-01' in line 3"),
        ("1.0,1.0\n2,3\n", "expected a header in 't.csv'; got only numbers in its first line, '1.0,1.0'"),
        ("1,,2\n2,3,4\n", "expected a header"),
        ("", "got an empty file"),
        ("\n \n", "got an empty file"),
        ("a,b\n", "expected rows of numbers below the header of 't.csv'; got none"),
        ("a,b\n1,2\n", "expected at least two rows of numbers in 't.csv'; got 1"),
        ("a,b\n1,2\n3\n", "expected 2 cells in every line of 't.csv', as in its header; got 1 in line 3"),
        ("a,b\n1,2\n3,4\n5,6,7\n", "got 3 in line 4"),
        ("a,b\n0,2,3\n1,5,6\n", "got 3 in line 2"),
        ("a,b\n1,2,\n4,5,\n", "got 3 in line 2"),
        ('a,b\n1,2\n"3,4\n', "got 1 in line 3"),
        ('a,b\n1,2\n3,"4\n', "expected a CSV table in 't.csv'; got"),
        ("a\n1\n2\n", "expected at least two columns in 't.csv'; got 1, 'a': one column"),
        ("a;b\n1;2\n2;3\n", "separated by commas"),
        (",a,b\n0,1,2\n1,2,3\n", "expected a name of its own for every column of 't.csv'; got '' at column 0"),
        ("a,b,a\n0,1,2\n1,2,3\n", "got 'a' at column 2"),
        ("a,b\n1,2\n,3\n4,\n", "in 2 of 3 rows, the first in row 1, column 'a'"),
        ("a,b\n1,2\n2,inf\n", "in 1 of 2 rows, the first in row 1, column 'b'"),
        ("a,b\n1,2\n1,3\n1,4\n", "constant 1 in column 'a'"),
        (
            "a,b\n1,2\n2,1e39\n",
            "fit into float32, up to 3.4e38, in 't.csv'; got 1e+39 in row 1 (counted from 0) of column",
        ),
        ("a,b\n1,100000001\n2,100000002\n", "in column 'b'"),
        ("a,b\n1,2\n3,\xe9\n", "expected UTF-8 text"),
    ],
)
def test_bad_csv_files_are_refused(tmp_path, text, expected):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="latin-1")
    assert expected in refusal(read_table, path)


def test_missing_and_unknown_files_are_refused(tmp_path):
    assert "where there is no file" in refusal(read_table, tmp_path / ("x" * 200) / ("x" * 200 + ".csv"))
    assert "where there is no file" in refusal(read_table, tmp_path / "t.npz")
    assert "expected a table in a .csv, .parquet or .npz file; got 't.xlsx'" in refusal(read_table, tmp_path / "t.xlsx")
    assert "dataset.path" in refusal(load_table, "table", "", "", SPLITS, 0)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"a": np.arange(3), "b": np.array(["x", "y", "z"])}, "expected numbers in array 'b' of 't.npz'; got <U1"),
        ({"a": np.arange(3), "b": np.array([1, None, 2])}, "expected an .npz file of numbers in 't.npz'; got 'Object"),
        ({"a": np.arange(3), "b": np.arange(4)}, "got shapes '[(3,), (4,)]'"),
        ({"a": np.ones((3, 2)), "b": np.arange(3)}, "expected in 't.npz' one array [n, D], or several [n]"),
        ({"a": np.ones((2, 2, 2))}, "one array [n, D]"),
        ({"a": np.float64(1)}, "one array [n, D]"),
        ({}, "got shapes '[]'"),
        ({"columns": np.array(["a", "b"])}, "got shapes '[]'"),
        ({"a": np.ones(3)}, "expected at least two columns in 't.npz'; got 1"),
        ({"a": np.ones((3, 2)), "columns": np.array(["a"])}, "expected 2 names in 'columns' of 't.npz'; got 1"),
        ({"a": np.ones(3), "b": np.ones(3), "columns": np.array(["a", "c"])}, "got '['a', 'c']'"),
        ({"x": np.array([[1.0, 2], [3, np.nan], [4, 5]])}, "row 1, column 'column 1'"),
        ({"x": np.array([[1, 2], [3, 2]])}, "in column 'column 1'"),
    ],
)
def test_bad_npz_files_are_refused(tmp_path, arrays, expected):
    np.savez(tmp_path / "t.npz", **arrays)
    assert expected in refusal(read_table, tmp_path / "t.npz").replace('"', "'")


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    for name in ["t.npz", "t.parquet"]:
        (tmp_path / name).write_text("a,b\n1,2\n2,3\n")
        assert f"in '{name}'; got " in refusal(read_table, tmp_path / name)
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    (tmp_path / "t.npy").rename(tmp_path / "t.npz")
    refusal(read_table, tmp_path / "t.npz")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        file.writestr("readme.txt", "no array")
    assert "in array 'readme.txt' of 't.npz'" in refusal(read_table, tmp_path / "t.npz")


def test_bad_parquet_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0, 2], "b": ["red", "blue"]}).to_parquet(path)
    assert "expected numbers in column 'b' of 't.parquet'; got str, 'red' in row 0" in refusal(read_table, path)
    pd.DataFrame({"a": [1.0, 2], "b": pd.to_datetime(["2020", "2021"])}).to_parquet(path)
    assert "column 'b'" in refusal(read_table, path)
    pd.DataFrame({"a": pd.array([1, None, 2]), "b": [1, 2, 3]}).to_parquet(path)
    assert "row 1, column 'a'" in refusal(read_table, path)
    monkeypatch.setattr(pd, "read_parquet", import_of_nothing)
    assert "pip install pyarrow" in refusal(read_table, path)


def import_of_nothing(*arguments):
    raise ImportError


def sorted_rows(x: np.ndarray) -> np.ndarray:
    return x[np.lexsort(x.T)]


@pytest.mark.parametrize("name", ["table", "breast_cancer", "wine"])
def test_splits_are_disjoint_and_complete(tmp_path, name):
    rng = np.random.default_rng(0)
    path = write(tmp_path / "t.npz", Table(("a", "b"), rng.normal(size=(101, 2)).astype(np.float32)))
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
    assert f"one of {', '.join(dataset_names(of_images=False))}; got" in load("x" * 500, test="all")


def test_a_column_that_is_constant_in_training_alone_is_refused(tmp_path):
    b = np.zeros(100)
    b[np.random.default_rng(0).permutation(100)[0]] = 1  # the first row after shuffling
    np.savez(tmp_path / "t.npz", a=np.arange(100), b=b)
    assert len(load_table("table", str(tmp_path / "t.npz"), "", {"train": "all[:50%]"}, 0)[1]["train"]) == 50
    message = refusal(load_table, "table", str(tmp_path / "t.npz"), "", {"train": "all[50%:]"}, 0)
    assert "constant 0 in column 'b'" in message


def test_power_is_processed_as_in_the_paper(tmp_path):
    num = 230
    raw = np.random.default_rng(0).normal(size=(num, 8)) * [1, 2, 3, 4, 5, 6, 7, 8] + 10
    (tmp_path / "power").mkdir()
    np.save(tmp_path / "power" / "data.npy", raw)
    columns, splits = load_table("power", "", str(tmp_path), PARTS, 0)

    rng = np.random.RandomState(42)
    x = raw[rng.permutation(num)][:, [0, 2, 4, 5, 6, 7]]
    x[:, 1] += 0.01 * rng.random_sample(num)
    x[:, 0] += 0.001 * rng.random_sample(num)
    x[:, 2:5] += rng.random_sample((num, 3))
    x = (x - x[:207].mean(axis=0)) / x[:207].std(axis=0)  # 23 test rows, then 20 of the other 207 for validation
    assert columns[1] == "voltage"
    np.testing.assert_allclose(splits["train"], x[:187], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["validation"], x[187:207], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["test"], x[207:], rtol=1e-5, atol=1e-6)
    assert {part.dtype for part in splits.values()} == {np.dtype(np.float32)}


def gas_frame() -> pd.DataFrame:
    x = np.random.default_rng(0).normal(size=(200, 9))
    x[:, 4] = x[:, 3] + 0.01 * x[:, 4]  # sensors 0 and 1 go together, and 1 and 3; 2 and 5 are alone
    x[:, 6] = x[:, 3] + 0.01 * x[:, 6]
    x[:, 8] = -x[:, 5]  # correlated by -1, which counts for nothing
    return pd.DataFrame(x, columns=["Time", "Meth", "Eth", *(f"sensor {i}" for i in range(6))])


def check_gas(folder, frame: pd.DataFrame) -> None:
    columns, splits = load_table("gas", "", str(folder), PARTS, 0)
    assert columns == ("sensor 2", "sensor 3", "sensor 4", "sensor 5")
    x = frame[list(columns)].to_numpy()
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    for part, expected in zip(("train", "validation", "test"), (x[:162], x[162:180], x[180:]), strict=True):
        np.testing.assert_allclose(splits[part], expected, rtol=1e-5, atol=1e-6)


def test_gas_is_processed_as_in_the_paper(tmp_path):
    (tmp_path / "gas").mkdir()
    path = tmp_path / "gas" / "ethylene_CO.pickle"
    gas_frame().to_pickle(path)
    check_gas(tmp_path, gas_frame())
    gas_frame().drop(columns="Eth").to_pickle(path)
    assert "got a table without Eth" in refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    gas_frame()["Eth"].to_pickle(path)
    assert "got Series" in refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)
    for content in [b"", b"nothing", pickle.dumps([1, 2]), pickle.dumps(types.SimpleNamespace(a=1))]:
        path.write_bytes(content)
        refusal(load_table, "gas", "", str(tmp_path), PARTS, 0)


def test_gas_is_read_from_a_pickle_of_old_pandas(tmp_path, monkeypatch):
    """The archive's pickle is of 2017: stand-ins of that pandas' classes write one, and are then renamed in it."""
    module = types.ModuleType("stand_in")

    class DataFrame:
        pass

    class BlockManager:
        def __init__(self, state):
            self.state = state

        def __getstate__(self):
            return self.state

    class Index:
        def __init__(self, data):
            self.data = data

        def __reduce__(self):
            return new_index, (Index, {"data": self.data, "name": None})

    def new_index(*arguments):
        raise AssertionError

    for thing in [DataFrame, BlockManager, Index, new_index]:
        thing.__module__, thing.__qualname__ = "stand_in", thing.__name__
        setattr(module, thing.__name__, thing)
    monkeypatch.setitem(sys.modules, "stand_in", module)

    frame = gas_frame()
    axes = [Index(frame.columns.to_numpy(object)), Index(np.arange(len(frame)))]
    values = frame.to_numpy().T
    blocks = [
        {"values": values[1:], "mgr_locs": slice(1, 9, 1)},
        {"values": values[:1], "mgr_locs": np.array([0])},
    ]
    old = DataFrame()
    manager = BlockManager((axes, [], [], {"0.14.1": {"axes": axes, "blocks": blocks}}))
    old.__dict__.update(_metadata=[], _typ="dataframe", _data=manager)
    (tmp_path / "gas").mkdir()
    content = pickle.dumps(old, protocol=2)
    (tmp_path / "gas" / "ethylene_CO.pickle").write_bytes(content.replace(b"cstand_in\n", b"cpandas.indexes.base\n"))
    check_gas(tmp_path, frame)


def hepmass_frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    columns = ["# label", "f0", "f1", "f2", "f3"]
    frames = []
    for num in (300, 120):
        x = rng.normal(size=(num, 5)) * [1, 1, 2, 3, 4] + 5
        x[:, 0] = np.arange(num) % 2
        x[:, 2] = np.maximum(x[:, 2], 4)  # its smallest value occurs often
        x[:, 3] = np.minimum(x[:, 3], 6)  # its largest value occurs often, which the authors' rule lets pass
        frames.append(pd.DataFrame(x, columns=columns))
    train, test = frames
    return train, test.assign(mass=1000.0)


def test_hepmass_is_processed_as_in_the_paper(tmp_path):
    train, test = hepmass_frames()
    (tmp_path / "hepmass").mkdir()
    train.to_csv(tmp_path / "hepmass" / "1000_train.csv", index=False)
    test.to_csv(tmp_path / "hepmass" / "1000_test.csv", index=False)
    columns, splits = load_table("hepmass", "", str(tmp_path), PARTS, 0)
    assert columns == ("f0", "f2", "f3")
    x, y = train.to_numpy()[1::2, [1, 3, 4]], test.to_numpy()[1::2, [1, 3, 4]]
    mean, deviation = x.mean(axis=0), x.std(axis=0, ddof=1)
    np.testing.assert_allclose(splits["train"], ((x - mean) / deviation)[:135], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["validation"], ((x - mean) / deviation)[135:], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(splits["test"], (y - mean) / deviation, rtol=1e-5, atol=1e-6)

    test.drop(columns="mass").to_csv(tmp_path / "hepmass" / "1000_test.csv", index=False)
    assert "got 'f0, f1, f2' without the last" in refusal(load_table, "hepmass", "", str(tmp_path), PARTS, 0)


def test_miniboone_is_processed_as_in_the_paper(tmp_path):
    x = np.random.default_rng(0).normal(3, 2, size=(230, 4))
    (tmp_path / "miniboone").mkdir()
    np.save(tmp_path / "miniboone" / "data.npy", x)
    columns, splits = load_table("miniboone", "", str(tmp_path), PARTS, 0)
    assert columns == ("column 0", "column 1", "column 2", "column 3")
    x = (x - x[:207].mean(axis=0)) / x[:207].std(axis=0)
    for part, expected in zip(("train", "validation", "test"), (x[:187], x[187:207], x[207:]), strict=True):
        np.testing.assert_allclose(splits[part], expected, rtol=1e-5, atol=1e-6)

    np.save(tmp_path / "miniboone" / "data.npy", np.arange(9))
    assert "got int64 '(9,)'" in refusal(load_table, "miniboone", "", str(tmp_path), PARTS, 0)
    (tmp_path / "miniboone" / "data.npy").write_text("")
    refusal(load_table, "miniboone", "", str(tmp_path), PARTS, 0)


def test_bsds300_is_read_as_it_is(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    parts = {part: np.random.default_rng(i).normal(size=(5 + i, 63)) for i, part in enumerate(PARTS)}
    (tmp_path / "BSDS300").mkdir()
    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "w") as file:
        for part, x in parts.items():
            file[part] = x.astype(np.float32)
    columns, splits = load_table("bsds300", "", str(tmp_path), PARTS, 0)
    assert len(columns) == 63
    for part, x in parts.items():
        np.testing.assert_array_equal(splits[part], x.astype(np.float32))

    with h5py.File(tmp_path / "BSDS300" / "BSDS300.hdf5", "a") as file:
        del file["test"]
    assert "expected train, validation and test" in refusal(load_table, "bsds300", "", str(tmp_path), PARTS, 0)
    real_import = builtins.__import__
    monkeypatch.setattr(
        builtins, "__import__", lambda name, *rest: import_of_nothing() if name == "h5py" else real_import(name, *rest)
    )
    assert "pip install h5py" in refusal(load_table, "bsds300", "", str(tmp_path), PARTS, 0)


@pytest.mark.parametrize("name", ["power", "gas", "hepmass", "miniboone", "bsds300"])
def test_missing_archives_are_named(tmp_path, name):
    message = refusal(load_table, name, "", str(tmp_path / ("x" * 200) / ("x" * 200)), PARTS, 0)
    assert "Zenodo record 1161203" in message
    assert f"expected {name if name != 'bsds300' else 'BSDS300'}/" in message
    assert "set dataset.data_dir" in message
