"""CSV files."""

import numpy as np
import pandas as pd
import pytest

from realnvp_jax.data.vectors.csv_tables import read_csv, read_csv_column, write_csv
from realnvp_jax.data.vectors.loading import load_rows
from realnvp_jax.data.vectors.table_files import TableFile, read_column
from tests.data.vectors.helpers import read_table
from tests.helpers import refusal


def test_csv_blank_lines_quotes_and_a_byte_order_mark_are_read(tmp_path):
    (tmp_path / "t.csv").write_text('\ufeff\n"a", b\r\n\n1,2\r\n   \n"3",1e2\n', encoding="utf-8")
    read = read_table(tmp_path / "t.csv")
    assert read.columns == ("a", "b")
    np.testing.assert_array_equal(read.values, [[1, 2], [3, 100]])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators_and_decimal_commas_are_recognised(tmp_path, separator, decimal):
    rows = ["12.5", '"Bern, West"', "-0.25e3"], ["1", "Chur", "1234.75"], [".5", "Ur|i;x", "7"]
    lines = ['"length, mm"', "city", "c"], *rows
    if separator == decimal:
        lines = [[f'"{cell}"' if "." in cell else cell for cell in line] for line in lines]
    else:
        lines = [[cell.replace(".", decimal) if cell[0] != '"' else cell for cell in line] for line in lines]
    lines = [[f'"{cell}"' if separator in cell and cell[0] != '"' else cell for cell in line] for line in lines]
    (tmp_path / "t.csv").write_text("\n".join(separator.join(line) for line in lines))
    frame = read_csv(tmp_path / "t.csv")
    assert list(frame.columns) == ["length, mm", "city", "c"]
    np.testing.assert_array_equal(frame["length, mm"], [12.5, 1, 0.5])
    assert list(frame["city"]) == ["Bern, West", "Chur", "Ur|i;x"]
    np.testing.assert_array_equal(frame["c"], [-250, 1234.75, 7])
    assert read_csv_column(tmp_path / "t.csv", 1) == list(frame["city"])


@pytest.mark.slow
def test_a_hundred_thousand_columns_are_read(tmp_path):
    """Work that grows with the square of the number of columns would not end within the patience of a test run."""
    num = 100_000
    values = np.random.default_rng(0).standard_normal((3, num)).round(3)
    lines = [",".join(f"c{i}" for i in range(num)), *(",".join(map(str, row)) for row in values.tolist())]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    dataset = TableFile("table", path=str(tmp_path / "t.csv"), drop=("c0",))
    loaded = load_rows(dataset, {"train": "all"})
    assert loaded.parts["train"].shape == (3, num - 1)
    assert loaded.unused == ("c0",)


def test_a_column_is_read_as_it_is_written(tmp_path):
    (tmp_path / "t.csv").write_text("id,x\n007,1\n\nNA,2\n1e5,3\n")
    assert read_column(tmp_path / "t.csv", "id") == ["007", "NA", "1e5"]
    message = refusal(read_column, tmp_path / "t.csv", "ids")
    assert message == "expected --id to name columns of 't.csv', of 'id, x'; got 'ids': did you mean 'id'?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n\n3,red\n", "column 'b' of 't.csv'; got 'red' in line 4"),
        ("a,b\n1,2\nTrue,3\n", "column 'a' of 't.csv'; got 'True' in line 3: leave"),
        ("a,b\n1,2\nNA,3\n-,4\n", "column 'a' of 't.csv'; got '-' in line 4"),
        ("a,b\n1,2\n" + "x" * 1000 + ",3\n", "column 'a' of 't.csv'; got 'xxx"),
        ("a,b\n1,2\n2020-01-01,3\n", "column 'a' of 't.csv'; got '2020-01-01' in line 3: leave"),
        ("1.0,1.0\n2,3\n", "expected a header in 't.csv'; got only numbers in its first line, '1.0,1.0'"),
        ("1,,2\n2,3,4\n", "expected a header"),
        ("", "got an empty file"),
        ("\n \n", "got an empty file"),
        ("a,b\n", "expected rows below the header of 't.csv'; got none"),
        ("a,b\n1,2\n3\n", "expected 2 cells in every line of 't.csv', as in its header; got 1 in line 3"),
        ("a,b\n1,2\n3,4\n5,6,7\n", "got 3 in line 4"),
        ("a,b\n0,2,3\n1,5,6\n", "got 3 in line 2"),
        ("a,b\n1,2,\n4,5,\n", "got 3 in line 2"),
        ('a,b\n1,2\n"3,4\n', "got 1 in line 3"),
        ('a,b\n1,2\n3,"4\n', "expected a CSV table in 't.csv'; got"),
        ("a,b\n1,2\n,3\n4,\n", "none in 2 of 3 rows, the first in line 3, column 'a'"),
        ("a,b\n1,2\n2,inf\n", "got inf in line 3 of column 'b'"),
        (
            "a,b\n1,2\n2,1e39\n",
            "fit into float32, up to 3.4e38, in 't.csv'; got 1e+39 in line 3 of column",
        ),
        (
            "a,b\n1," + "1" * 400 + "\n2,3\n",
            "float32, up to 3.4e38, in column 'b' of 't.csv'; got one of 400 digits",
        ),
        ("a,b\n1," + "1" * 9000 + "\n2,3\n", "column 'b' of 't.csv'; got '111"),
        ("a;b\n1;2,5\n2;3.5\n", "either decimal commas or decimal points in 't.csv'; got '2,5' beside '3.5': write"),
        ("a;b\n1;1,500\n2;2,500\n", "got '1,500', which may be decimals or thousands: write"),
        ("x, m;y\n1,5;2\n3,5;4\n", "expected one separator in 't.csv'; got commas and semicolons, each of which"),
        (
            "a;b\n" + "1;2,5\n" * 300 + "1;2.5\n",
            "decimal commas in column 'b' of 't.csv', as in its first rows; got '2.5'",
        ),
        ("a;b\n" + "1;2,5\n" * 300 + "1;x\n", "numbers in column 'b' of 't.csv'; got 'x' in line 302: correct it, or"),
        ("a,b\n1,2\n3,\xe9\n", "expected UTF-8 text"),
    ],
)
def test_bad_csv_files_are_refused(tmp_path, text, expected):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="latin-1")
    assert expected in refusal(read_table, path)


def test_points_between_thousands_in_a_file_with_decimal_commas_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a;b\n" + "".join(f"{i},5;{i}\n" for i in range(150)) + "1,5;1.234\n")
    message = refusal(read_csv, path)
    assert "expected decimal commas in column 'b' of 't.csv'" in message
    assert "got '1.234'" in message


@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".TSV", ".csv"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_any_ending_of_text_goes_with_any_separator(tmp_path, suffix, separator):
    path = tmp_path / f"t{suffix}"
    path.write_text("\n".join(separator.join(row) for row in [("a", "b"), ("1.5", "2"), ("3", "x")]))
    assert read_column(path, "b") == ["2", "x"]
    assert "got 'x' in line 3" in refusal(read_table, path)


def test_texts_that_look_missing_are_missing_in_columns_of_numbers_only(tmp_path):
    (tmp_path / "t.csv").write_text("x,country,flag,version\n1,NA,True,1.2.3\nnan,EU,NA,null\n2,,False,n/a\n")
    frame = read_csv(tmp_path / "t.csv")
    np.testing.assert_array_equal(frame["x"], [1, np.nan, 2])
    assert frame["country"].fillna("missing").tolist() == ["NA", "EU", "missing"]
    assert frame["flag"].fillna("missing").tolist() == [True, "missing", False]
    assert frame["version"].tolist() == ["1.2.3", "null", "n/a"]


def test_what_is_written_is_read(tmp_path):
    write_csv(tmp_path / "t.csv", [{"x": [0.5, 2.0], "country": ["NA", "EU"]}, {"x": [1.5], "country": ["None"]}])
    frame = read_csv(tmp_path / "t.csv")
    assert frame["country"].tolist() == ["NA", "EU", "None"]
    assert frame["x"].tolist() == [0.5, 2, 1.5]


def test_a_missing_value_of_a_single_column_is_a_row(tmp_path):
    pd.DataFrame({"a": [np.nan, 1.5, np.nan, 1e39]}).to_csv(tmp_path / "t.csv", index=False)
    message = refusal(read_table, tmp_path / "t.csv")
    assert "got none in 2 of 4 rows, the first in line 2, column 'a'" in message
    message = refusal(lambda path: TableFile(path=str(path), missing="drop").load("all"), tmp_path / "t.csv")
    assert "got 1e+39 in line 5 of column 'a'" in message


def test_a_missing_text_is_written_as_an_empty_cell(tmp_path):
    names = [np.array(["Bern", None, float("nan")], object), np.array(["Chur", "nan", "Ur"], object)]
    write_csv(tmp_path / "t.csv", [{"name": part, "x": [1.5, np.nan, 2]} for part in names])
    written = (tmp_path / "t.csv").read_text().split()
    assert written == ["name,x", "Bern,1.5", ",nan", ",2", "Chur,1.5", "nan,nan", "Ur,2"]
    assert read_csv(tmp_path / "t.csv")["name"].isna().tolist() == [False, True, True, False, False, False]


def test_names_of_files_that_are_not_utf8_are_escaped(tmp_path):
    write_csv(tmp_path / "t.csv", [{"example": [b"caf\xe9.png".decode(errors="surrogateescape")], "x": [1.5]}])
    assert read_csv(tmp_path / "t.csv")["example"].tolist() == ["caf\\udce9.png"]


def test_a_category_may_be_called_na(tmp_path):
    rows = [f"{i / 7},{i * i / 9},{('NA', 'EU')[i % 2]}" for i in range(20)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,region", *rows]))
    found = TableFile(path=str(tmp_path / "t.csv"), context="region").find_categories()
    assert found == ("region=EU", "region=NA")
    table = TableFile(path=str(tmp_path / "t.csv"), context="region", categories=found, missing="drop").load("all")
    assert table.x.shape == (20, 4)
    assert table.num_dropped == 0
