"""`realnvp show`."""

import json

import pytest

from tests.cli.helpers import realnvp


@pytest.mark.slow
def test_show_of_images(digits):
    printed = realnvp("show", "-w", digits)
    result = json.loads((digits / "result.json").read_text())
    for expected in ("data: digits", "checkpoints: steps 3, 6", f"test: {result['mean']:.3f}", "sizes: ", "RealNVP("):
        assert expected in printed


def test_show_of_vectors(shop):
    assert "dataset.context = 'kind'" in realnvp("show", "-w", shop, "--config")
    printed = realnvp("show", "-w", shop)
    for expected in ("data: table", "checkpoints: steps 0, 2", "test: ", "VectorRealNVP("):
        assert expected in printed
