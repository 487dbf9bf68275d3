"""Workdirs belong to one config."""

import pytest

from configs import smoke
from realnvp_jax.runs.workdir import Workdir
from tests.helpers import refusal


def test_another_configs_run_is_refused_by_name(tmp_path):
    Workdir(tmp_path, smoke.get_config()).start()
    config = smoke.get_config()
    config.num_steps, config.evaluate.every, config.checkpoint.every, config.dataset.data_dir = 50, 5, 5, "elsewhere"
    Workdir(tmp_path, config)  # these may differ
    config.seed = 1
    config.model.num_blocks = 3
    with pytest.raises(ValueError, match=r"model.num_blocks was 1, now 3; seed was 0, now 1: use another --workdir"):
        Workdir(tmp_path, config)


def test_a_path_that_is_not_text_is_refused(tmp_path):
    message = refusal(Workdir, tmp_path / "l\udcc3ufe", smoke.get_config())
    assert "expected a --workdir whose full path can be encoded in UTF-8" in message
    assert "set PYTHONUTF8=1" in message


def test_two_programs_do_not_train_in_one_directory(tmp_path):
    config = smoke.get_config()
    first = Workdir(tmp_path / "run", config)
    first.start()
    second = Workdir(tmp_path / "run", config)
    assert "expected a --workdir that no other program trains in" in refusal(second.start)
    first.close()
    second.start()
    second.close()
