"""The result of a run."""

import json

from configs import smoke
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.result import describe_result, picture_title, read_result
from realnvp_jax.runs.workdir import Workdir
from tests.helpers import refusal

RESULT = {"mean": 1.0, "standard_error": 0.1, "unit": "nats", "num_examples": 3, "step": 2, "num_steps": 4, "ema": True}


def test_a_damaged_result_is_named(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, RESULT)
    assert read_result(path) == RESULT
    for text in ("", '{"mean": 1', "{}", "[]", json.dumps({**RESULT, "mean": None})):
        path.write_text(text)
        message = refusal(read_result, path)
        assert "result.json" in message
        assert message.endswith("start the run again, to evaluate it again")
        assert Workdir(tmp_path, smoke.get_config()).result() is None


def test_the_line_of_a_single_example_has_no_error():
    line = describe_result({**RESULT, "standard_error": None, "num_examples": 1})
    assert line == "test: 1.000 nats (1 examples, step 2 of 4 by validation, averaged parameters)"


def test_pictures_are_called_after_the_run_its_step_and_its_result(tmp_path):
    workdir = tmp_path / "digits"
    assert picture_title(workdir, 1200) == "digits, step 1,200"
    assert picture_title(workdir, 1200, RESULT) == "digits, step 1,200"  # the result is that of another step
    assert picture_title(workdir, 2, RESULT) == "digits, step 2: 1.000 ± 0.100 nats"
    assert picture_title(tmp_path / ("a" * 80), 1) == "a" * 39 + "…, step 1"
