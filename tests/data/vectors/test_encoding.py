"""From columns of any type to numbers."""

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.encoding import encode, find_categories
from tests.helpers import refusal

CITIES = ("city=Basel", "city=Bern", "city=Chur")


def frame() -> pd.DataFrame:
    return pd.DataFrame({"city": ["Bern", " Chur", "Basel", "Bern"], "x": [1.5, 2, 3, 4], "open": [True, False] * 2})


def test_categories_and_booleans_become_one_hot_columns(tmp_path):
    path = tmp_path / "t.csv"
    assert find_categories(frame(), path) == (*CITIES, "open=False", "open=True")
    columns, values, missing = encode(frame(), path, ("city", "open"), (*CITIES, "open=False", "open=True"))
    assert columns == (*CITIES, "x", "open=False", "open=True")
    expected = [[0, 1, 0, 1.5, 0, 1], [0, 0, 1, 2, 1, 0], [1, 0, 0, 3, 0, 1], [0, 1, 0, 4, 1, 0]]
    np.testing.assert_array_equal(values, expected)
    assert not missing.any()
    columns, values, _ = encode(frame()[["x", "open"]], path, ("open",), ())  # a run whose context has numbers here
    np.testing.assert_array_equal(values, [[1.5, 1], [2, 0], [3, 1], [4, 0]])


@pytest.mark.parametrize(
    "values",
    [
        ["3", "1", "10", "x"],
        pd.Categorical([3, 1, 10, "x"]),
        pd.array(["3", "1", "10", "x"], "string"),
        np.array([3, 1.0, 10, "x"], object),
    ],
)
def test_categories_have_one_coding_whatever_the_type(tmp_path, values):
    found = find_categories(pd.DataFrame({"k": values}), tmp_path / "t.parquet")
    assert found == ("k=1", "k=10", "k=3", "k=x")
    _, encoded, _ = encode(pd.DataFrame({"k": pd.Categorical(values)}), tmp_path / "t.parquet", ("k",), found)
    np.testing.assert_array_equal(encoded, np.eye(4)[[2, 0, 1, 3]])
    _, encoded, _ = encode(pd.DataFrame({"k": [3.0, 1, np.nan]}), tmp_path / "t.parquet", ("k",), found)
    np.testing.assert_array_equal(encoded, [[0, 0, 1, 0], [1, 0, 0, 0], [np.nan] * 4])


def test_missing_values_are_marked(tmp_path):
    table = pd.DataFrame({"city": ["Bern", None, "Chur"], "n": pd.array([1, 2, None]), "b": [True, None, False]})
    columns, values, missing = encode(table, tmp_path / "t.csv", ("city",), CITIES)
    np.testing.assert_array_equal(missing, [[False] * 3, [True, False, True], [False, True, False]])
    assert np.isnan(values[1, :3]).all()
    assert np.isnan(values[[2, 1], [columns.index("n"), columns.index("b")]]).all()


@pytest.mark.parametrize(
    ("column", "context", "expected"),
    [
        (["red", "blue", "red", "red"], (), "got 'red' in row 0 (counted from 0): leave the column out with "
         "--config.dataset.drop=k, or condition on its categories with --config.dataset.context=k"),
        (["s1", "s2", "s3", "s4"], (), "got 's1' in row 0 (counted from 0): leave the column out with "
         "--config.dataset.drop=k"),
        (["1"] * 19 + ["l2"], (), "got 'l2' in row 19 (counted from 0): correct it, or leave"),
        (["1", "2", "x", "y"], ("k",), "but the run's dataset.context has numbers here"),
        (["2024-01-31", None, "2024-02-01"], ("k",), "got dates or times such as '2024-01-31': leave the column out "
         "with --config.dataset.drop=k, or convert it to a number, such as seconds since the first row"),
        (["31.1.2024", "1.2.2024"], (), "got dates or times"),
        (["12:30", "13:45"], (), "got dates or times"),
        (["5 Jan 2024", "6 Feb 2024"], (), "got dates or times"),
        ([1j, 2j], (), "got '1j' in row 0"),
    ],
)  # fmt: skip
def test_text_and_dates_are_refused_with_the_key_to_set(tmp_path, column, context, expected):
    message = refusal(encode, pd.DataFrame({"k": column}), tmp_path / "t.parquet", context, ())
    assert message.startswith("expected numbers in column 'k' of 't.parquet'; got ")
    assert expected in message


@pytest.mark.parametrize("values", [["10-19", "20-29", "1-4"], ["v1.2.3", "v1.2.4", "May"], ["red", "12", "x"]])
def test_categories_are_not_taken_for_dates(tmp_path, values):
    assert find_categories(pd.DataFrame({"k": values}), tmp_path / "t.csv") == tuple(sorted(f"k={v}" for v in values))


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            {"k": ["red", "red"]},
            "expected 2 to 1,000 categories in column 'k' of 't.parquet', for dataset.context; got",
        ),
        ({"k": [f"s{i}" for i in range(1001)]}, "got 1,001: leave the column out of dataset.context"),
        ({"k": ["2024-01-31", "2024-02-01"]}, "got dates or times such as '2024-01-31'"),
        ({"k": ["1"] * 19 + ["l2"]}, "got 'l2' in row 19 (counted from 0): correct it"),
        ({"k": [[1], [2]]}, "expected numbers or text in column 'k' of 't.parquet'; got '[1]'"),
        ({"k": ["a", "b"], "k=a": ["x", "y"]}, "cannot be confused with categories; got 'k' and 'k=a'"),
    ],
)
def test_categories_that_cannot_be_used_are_refused(tmp_path, table, expected):
    assert expected in refusal(find_categories, pd.DataFrame(table), tmp_path / "t.parquet")


def test_an_unknown_category_is_named(tmp_path):
    message = refusal(encode, pd.DataFrame({"city": ["Bern", "Zug"]}), tmp_path / "t.parquet", ("city",), CITIES)
    assert message == (
        "expected the categories that the run was started with, 'Basel, Bern, Chur', in column 'city' of 't.parquet'; "
        "got 'Zug' in row 1 (counted from 0)"
    )


@pytest.mark.parametrize(
    ("name", "quoted"),
    [("a b", "drop='a b'"), ("a,b", "drop='\"a,b\"'"), ("price $", "drop='price $'"), ("a.b", "drop=a.b")],
)
def test_names_are_quoted_for_the_command_line(tmp_path, name, quoted):
    assert quoted in refusal(encode, pd.DataFrame({name: ["x", "y"]}), tmp_path / "t.parquet")
