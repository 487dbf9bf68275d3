"""Files that are written whole."""

import errno
import os
import subprocess
import sys

import pytest

from realnvp_jax.runs.files import UnwritableFileError, write_json
from realnvp_jax.runs.result import read_result

RESULT = {"mean": 1.0, "standard_error": 0.1, "unit": "nats", "num_examples": 3, "step": 2, "num_steps": 4, "ema": True}


def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path):
    path = tmp_path / "result.json"
    write_json(path, RESULT)
    with pytest.raises(TypeError):
        write_json(path, {"mean": object()})
    assert read_result(path) == RESULT


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "free some space on its disk"), (errno.EROFS, "another --workdir"), (errno.EIO, "Input/output")],
)
def test_a_disk_that_cannot_be_written_is_named_and_the_old_file_stays(tmp_path, monkeypatch, number, remedy):
    path = tmp_path / "result.json"
    write_json(path, RESULT)

    def fail(_):
        raise OSError(number, os.strerror(number))  # as from a write, it names no file

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UnwritableFileError, match=r"^expected a file .* can be .* written; got ") as caught:
        write_json(path, {})
    assert str(path) in str(caught.value)
    assert remedy in str(caught.value)
    assert len(str(caught.value)) <= 400
    monkeypatch.undo()
    assert read_result(path) == RESULT
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_utf8_and_the_console_falls_back_to_escapes_in_any_locale(tmp_path):
    code = (
        "import pathlib, sys\n"
        "from realnvp_jax.cli.common import escape_in_console\n"
        "from realnvp_jax.runs.files import write_text\n"
        "write_text(pathlib.Path(sys.argv[1]), 'gr\\xf6\\xdfe')\n"
        "escape_in_console()\n"
        "print('gr\\xf6\\xdfe')\n"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, str(tmp_path / "file")]
    done = subprocess.run(command, env={**os.environ, **ascii_only}, capture_output=True, check=True, cwd=os.getcwd())
    assert done.stdout.decode().strip() == r"gr\xf6\xdfe"
    assert (tmp_path / "file").read_bytes() == "größe".encode()
