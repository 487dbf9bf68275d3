"""Columns by name."""

import pytest

from realnvp_jax.data.vectors.columns import choose_columns, match_columns
from realnvp_jax.text import split_names
from tests.helpers import refusal

GIVEN = ["id", "temp", "wind", "length, mm", "", "wind"]


@pytest.mark.parametrize(
    ("columns", "drop", "context", "chosen"),
    [
        ("", "id, wind", "", None),
        ("temp,id", "", "", [0, 1]),
        ("temp", "", ("id",), [0, 1]),
        ('"length, mm",temp', "temp", "", [3]),
        (("length, mm",), "", "", [3]),
    ],
)
def test_columns_are_chosen(columns, drop, context, chosen):
    if chosen is None:
        message = refusal(choose_columns, GIVEN, split_names(columns), split_names(drop), context, "'t.csv'")
        assert message.startswith(
            "expected distinct column names in 't.csv'; got '' as the name of column 4: rename it"
        )
        return
    assert choose_columns(GIVEN, split_names(columns), split_names(drop), context, "'t.csv'") == chosen


def test_unknown_and_repeated_names_are_refused():
    for key in ("columns", "drop"):
        names = {"columns": (), "drop": (), key: ("tmep",)}
        message = refusal(choose_columns, GIVEN, names["columns"], names["drop"], (), "'t.csv'")
        assert message.startswith(f"expected dataset.{key} to name columns of 't.csv', of 'id, temp, ")
        assert message.endswith("got 'tmep': did you mean 'temp'?")
    message = refusal(choose_columns, GIVEN, (), (), ("Temp",), "'t.csv'")
    assert message.startswith("expected dataset.context to name columns of 't.csv'")
    assert message.endswith("got 'Temp': did you mean 'temp'?")
    message = refusal(choose_columns, GIVEN, (), ("temp",), ("temp",), "'t.csv'")
    assert message == "expected a column either in dataset.context or in dataset.drop; got 'temp' in both"
    message = refusal(choose_columns, GIVEN, ("wind",), (), (), "'t.csv'")
    assert "got 'wind' as the name of column 5" in message


def test_columns_are_matched_by_name_or_else_by_position():
    assert match_columns(["a", "b"], ["c", "b", "a"]) == [2, 1]
    assert match_columns(["a", "b"], ["column 0", "column 1"]) == [0, 1]
    assert match_columns(["a", "b"], ["a", "c"]) is None
