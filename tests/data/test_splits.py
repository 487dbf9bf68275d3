"""Names of splits."""

import pytest

from realnvp_jax.data.splits import parse_split, part_of
from tests.helpers import refusal


def test_split_names():
    assert parse_split("test") == ("test", "", "")
    assert parse_split("train[-5000:]") == ("train", "-5000", "")
    assert parse_split("train[10%:20%]") == ("train", "10%", "20%")
    assert parse_split("cats+dogs & it's[:5]") == ("cats+dogs & it's", "", "5")
    for text in ("train[:90", "train]", "[:90%]", "train[a:b]"):
        assert "expected a split such as train" in refusal(parse_split, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", range(40)),
        ("all[10%:20%]", range(4, 8)),
        ("all[-10%:]", range(36, 40)),
        ("all[:-10]", range(30)),
        ("all[-1%:]", range(40, 40)),  # 0.4 examples
        ("all[:-1%]", range(40)),
        ("all[-50:]", range(40)),
        ("all[30:50]", range(30, 40)),
    ],
)
def test_parts_of_splits(text, expected):
    assert range(40)[part_of(40, parse_split(text))] == expected
