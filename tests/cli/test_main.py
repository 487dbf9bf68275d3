"""The console program `realnvp`."""

import realnvp_jax
from tests.cli.helpers import realnvp, refused


def test_help_is_there_for_every_command():
    text = realnvp("--help")
    for command in (
        "train",
        "configs",
        "evaluate",
        "sample",
        "reconstruct",
        "interpolate",
        "score",
        "report",
        "show",
        "data",
    ):
        assert command in text
        assert "Usage: " in realnvp(command, "--help")
    assert realnvp_jax.__version__ in realnvp("--version")


def test_a_misspelt_command_gets_a_hint():
    expected = (
        "interpolate, score, compress, decompress, publish, report, show, data; got 'evalute': did you mean 'evaluate'?"
    )
    assert expected in refused("evalute", "-w", "x")
