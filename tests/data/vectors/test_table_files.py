"""Files of tables."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.table_files import read_table
from tests.data.vectors.helpers import SPLITS, import_of_nothing, load_table, write
from tests.helpers import refusal


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
