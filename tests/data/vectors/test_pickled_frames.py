"""Columns of pickled DataFrames: plain indexes of text are read, all others are refused."""

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.pickled_frames import read_frame
from tests.helpers import refusal


def pickled(tmp_path, columns):
    pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=columns).to_pickle(tmp_path / "x.pickle")
    return tmp_path / "x.pickle"


@pytest.mark.parametrize(
    "dtype", [object, "str", "string", pd.StringDtype("python"), pd.StringDtype("python", na_value=np.nan)]
)
def test_names_of_columns_keep_their_order(dtype, tmp_path):
    frame = read_frame(pickled(tmp_path, pd.Index(["c", "a", "b"], dtype=dtype)))
    assert list(frame.columns) == ["c", "a", "b"]
    np.testing.assert_array_equal(frame["a"], [1, 4])


@pytest.mark.parametrize(
    ("columns", "got"),
    [
        (pd.CategoricalIndex(["c", "a", "b"]), "column names in CategoricalIndex instead of an Index of text"),
        (pd.MultiIndex.from_product([["c"], ["x", "a", "b"]]), "column names in MultiIndex instead of an Index"),
        (pd.RangeIndex(3), "column names in RangeIndex instead of an Index of text"),
        (pd.date_range("2020", periods=3), "DatetimeIndex"),
        (pd.Index([3, 1, 2]), "columns whose names are not text"),
        (pd.Index(["c", None, "b"], dtype=object), "columns whose names are not text"),
    ],
)
def test_other_kinds_of_columns_are_refused_by_name(columns, got, tmp_path):
    assert got in refusal(read_frame, pickled(tmp_path, columns))
