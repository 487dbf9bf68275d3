"""Files that are written whole."""

import pytest

from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.result import read_result

RESULT = {"mean": 1.0, "standard_error": 0.1, "unit": "nats", "num_examples": 3, "step": 2, "num_steps": 4, "ema": True}


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, RESULT)
    with pytest.raises(TypeError):
        write_json(path, {"mean": object()})
    assert read_result(path) == RESULT
