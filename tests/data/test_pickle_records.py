"""Pickles are read as data: nothing that they name is imported, made or called."""

import os
import pickle
from pathlib import Path

import pytest

from realnvp_jax.data.pickle_records import Name, Record, read_pickle


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def read(path: Path, content: bytes):
    path.write_bytes(content)
    return read_pickle(path)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_are_read_as_they_are(tmp_path, protocol):
    value = {"a": [1, -2, 2**70, 1.5, None, True], "b": ("text", "é", ("x", 1), (), (1, 2, 3, 4)), "c": {"d": []}}
    value["again"] = value["a"]
    assert read(tmp_path / "x", pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_functions_are_not_called(tmp_path, protocol):
    made = tmp_path / "made"
    value = [Call(os.mkdir, str(made)), {"a": Call(os.system, f"touch {made}")}]
    first, second = read(tmp_path / "x", pickle.dumps(value, protocol))
    assert (first.name, first.args) == (f"{os.name}.mkdir", (str(made),))
    assert second["a"].name == f"{os.name}.system"
    assert not made.exists()


def test_classes_and_states_are_records(tmp_path):
    content = pickle.dumps(Path, 4)
    assert read(tmp_path / "x", content) == Name("pathlib.Path")
    error = ValueError("x")
    error.place = 3
    record = read(tmp_path / "x", pickle.dumps(error))
    assert isinstance(record, Record)
    assert (record.name, record.args, record.state) == ("builtins.ValueError", ("x",), {"place": 3})


NESTED = pickle.dumps([[]])[:-1] + 100 * b"\x94h\x02h\x02\x86"  # a tuple whose hash takes 2^100 steps


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        b"\x80\x04.",
        b"\x80\x04(.",
        b"\x80\x04t.",
        b"\x80\x04K\x01h\x07.",
        b"\x80\x04K\x01a.",
        b"\x80\x04}K\x01K\x02s.",
        b"\x80\x04}" + NESTED[2:] + b"K\x01s.",
        b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"abc.",
        b"(S'x'\nios\nsystem\n.",
        b"Px\n.",
        b"\x80\x02\x82\x01.",
        pickle.dumps(Call(os.getcwd))[:-2],
    ],
)
def test_anything_else_is_refused(tmp_path, content):
    with pytest.raises((ValueError, MemoryError)):
        read(tmp_path / "x", content)


def test_more_instructions_than_a_table_needs_are_refused(tmp_path):
    content = pickle.dumps([0] * 499_990, protocol=1)  # two instructions for each item
    assert len(read(tmp_path / "x", content)) == 499_990
    with pytest.raises(ValueError, match="more than 1,000,000 instructions"):
        read(tmp_path / "x", b"\x80\x04" + 3_000_000 * b"]" + b".")


def test_a_place_in_the_memo_costs_nothing(tmp_path):
    """Python's own reader makes a list as long as the largest place."""
    assert read(tmp_path / "x", b"\x80\x04Nr\xff\xff\xff\x7f.") is None
