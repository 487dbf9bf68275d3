"""Names of splits."""

from realnvp_jax.data.splits import parse_split


def test_split_names():
    assert parse_split("test") == ("test", "", "")
    assert parse_split("train[-5000:]") == ("train", "-5000", "")
    assert parse_split("train[10%:20%]") == ("train", "10%", "20%")
