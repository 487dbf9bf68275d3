"""Names of splits."""

from realnvp_jax.data.splits import parse_split
from tests.helpers import refusal


def test_split_names():
    assert parse_split("test") == ("test", "", "")
    assert parse_split("train[-5000:]") == ("train", "-5000", "")
    assert parse_split("train[10%:20%]") == ("train", "10%", "20%")
    assert parse_split("cats+dogs & it's[:5]") == ("cats+dogs & it's", "", "5")
    for text in ("train[:90", "train]", "[:90%]", "train[a:b]"):
        assert "expected a split such as train" in refusal(parse_split, text)
