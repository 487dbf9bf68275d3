"""CSV files."""

import numpy as np
import pytest

from realnvp_jax.data.vectors.table_files import read_table
from tests.helpers import refusal


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
