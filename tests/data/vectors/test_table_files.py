"""Files of tables."""

import datetime
import sys
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.table_files import TableFile, read_column
from tests.data.vectors.helpers import SPLITS, load_table, read_table, write
from tests.helpers import refusal


@pytest.mark.parametrize("name", ["t.csv", "T.parquet", "matrix.npz", "arrays.npz"])
def test_tables_are_read_as_written(tmp_path, table, name):
    read = read_table(write(tmp_path / name, table))
    assert read.columns == table.columns
    np.testing.assert_array_equal(read.values.astype(np.float32), table.values)


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
    assert "expected a table in a .csv, .tsv, .txt, .parquet or .npz file; got 't.xlsx'" in refusal(
        read_table, tmp_path / "t.xlsx"
    )
    assert "dataset.path" in refusal(load_table, "table", "", "", SPLITS, 0)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        (
            {"a": np.arange(3), "b": np.array(["x", "y", "z"])},
            "column 'b' of 't.npz'; got 'x' in row 0 (counted from 0)",
        ),
        ({"a": np.arange(3), "b": np.array([1, None, 2])}, "expected an .npz file of columns in 't.npz'; got 'Object"),
        (
            {"a": np.arange(3), "b": np.ones(3, complex)},
            "expected numbers or text in array 'b' of 't.npz'; got 'complex",
        ),
        (
            {"a": np.arange(3), "b": np.array([b"\xff"] * 3)},
            "expected numbers or text in array 'b' of 't.npz'; got '|S1'",
        ),
        (
            {"a": np.arange(2), "b": np.array(["2020-01-01", "2020-01-02"], "M8[D]")},
            "in column 'b' of 't.npz'; got dates",
        ),
        (
            {"a": np.arange(2), "b": np.array(["1e4000", "1"], np.longdouble)},
            "up to 3.4e38, in 't.npz'; got inf in row 0 (counted from 0) of column 'b'",
        ),
        ({"a": np.arange(3), "b": np.arange(4)}, "got shapes '[(3,), (4,)]'"),
        ({"a": np.ones((3, 2)), "b": np.arange(3)}, "expected in 't.npz' one array [n, D], or several [n]"),
        ({"a": np.ones((2, 2, 2))}, "one array [n, D]"),
        ({"a": np.float64(1)}, "one array [n, D]"),
        ({}, "got shapes '[]'"),
        ({"a": np.ones((3, 2)), "columns": np.array(["a"])}, "expected 2 names in 'columns' of 't.npz'; got 1"),
        ({"a": np.ones(3), "b": np.ones(3), "columns": np.array(["a", "c"])}, "got '['a', 'c']'"),
        ({"x": np.array([[1.0, 2], [3, np.nan], [4, 5]])}, "row 1 (counted from 0), column 'column 1'"),
    ],
)
def test_bad_npz_files_are_refused(tmp_path, arrays, expected):
    np.savez(tmp_path / "t.npz", **arrays)
    assert expected in refusal(read_table, tmp_path / "t.npz").replace('"', "'")


def test_numbers_that_are_not_native_are_converted(tmp_path):
    expected = np.array([[1, 2], [-3.5, 2**40], [0.25, 7]])
    arrays = {"a": expected[:, 0].astype(">f4"), "b": expected[:, 1].astype(">i8")}
    structured = np.empty(3, [("a", np.longdouble), ("b", ">u8")])
    structured["a"], structured["b"] = expected.T
    for content in (arrays, {"x": structured}, {"x": expected.astype(">f8"), "columns": np.array(["a", "b"])}):
        np.savez(tmp_path / "t.npz", **content)
        read = read_table(tmp_path / "t.npz")
        assert read.columns == ("a", "b")
        np.testing.assert_array_equal(read.values, expected)
    frame = pd.DataFrame({"a": pd.array([1, -3, 7], "Int16"), "b": [Decimal("1.5"), Decimal(2), Decimal(3)]})
    frame["c"], frame["d"] = pd.array([True, False, True], "boolean"), pd.array([0.5, 1, 2], "Float32")
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_array_equal(
        read_table(tmp_path / "t.parquet").values, [[1, 1.5, 1, 0.5], [-3, 2, 0, 1], [7, 3, 1, 2]]
    )


@pytest.mark.parametrize(
    ("column", "got"),
    [
        (pd.date_range("2020", periods=3, tz="UTC"), "got dates or times such as '2020-01-01"),
        (pd.to_timedelta([1, 2, 3], "s"), "got dates or times such as '0 days 00:00:01"),
        ([datetime.date(2020, 1, i) for i in (1, 2, 3)], "got dates or times such as '2020-01-01'"),
        (pd.Categorical(["x", "y", "x"]), "got categories, such as 'x' in row 0 (counted from 0): leave"),
        ([[1, 2], [3], []], "got 'list<element: int64>' in row 0"),
        ([b"x", b"y", b"z"], "in row 0"),
        ([{"x": 1}] * 3, "in row 0"),
        (pd.arrays.IntervalArray.from_breaks([0, 1, 2, 3]), "in row 0"),
    ],
)
def test_columns_that_are_not_numbers_are_named(tmp_path, column, got):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.5, 2, 3], "x y": column}).to_parquet(path)
    message = refusal(read_table, path)
    assert "column 'x y' of 't.parquet'; " in message
    assert got in message
    assert "--config.dataset.drop='x y'" in message


def test_a_named_index_is_a_column(tmp_path):
    pd.DataFrame({"a": [1.5, 2, 3], "id": [7, 8, 9]}).set_index("id").to_parquet(tmp_path / "t.parquet")
    assert read_column(tmp_path / "t.parquet", "id") == ["7", "8", "9"]


def test_files_that_are_not_what_they_are_called_are_refused(tmp_path):
    for name in ["t.npz", "t.parquet"]:
        (tmp_path / name).write_text("a,b\n1,2\n2,3\n")
        assert f"in '{name}'; got " in refusal(read_table, tmp_path / name)
    np.save(tmp_path / "t.npy", np.ones((3, 2)))
    (tmp_path / "t.npy").rename(tmp_path / "t.npz")
    refusal(read_table, tmp_path / "t.npz")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file:
        file.writestr("readme.txt", "no array")
    assert "expected in 't.npz' one array [n, D], or several [n] of one length; got shapes" in refusal(
        read_table, tmp_path / "t.npz"
    )


def test_bad_parquet_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.0, 2], "b": ["red", "blue"]}).to_parquet(path)
    assert "expected numbers in column 'b' of 't.parquet'; got 'red' in row 0 (counted from 0): leave" in refusal(
        read_table, path
    )
    pd.DataFrame({"a": [1.0, 2], "b": pd.to_datetime(["2020", "2021"])}).to_parquet(path)
    assert "column 'b'" in refusal(read_table, path)
    pd.DataFrame({"a": pd.array([1, None, 2]), "b": [1, 2, 3]}).to_parquet(path)
    assert "row 1 (counted from 0), column 'a'" in refusal(read_table, path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install pyarrow" in refusal(read_table, path)


def test_a_bad_cell_of_a_file_in_the_home_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,x\n")
    assert "got 'x' in line 3" in refusal(TableFile(path="~/t.csv").load, "all")
