"""run.json: every start of a run."""

import json
import os

from realnvp_jax.runs.history import note_finish, note_start, without_home


def test_the_first_command_stays_and_every_start_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    path = tmp_path / "run.json"
    note_start(path, "realnvp train digits --workdir=/home/somebody/run", 0)
    note_start(path, "realnvp train digits --config.num_steps=5", 3)
    note_finish(path)
    run = json.loads(path.read_text())
    assert run["command"] == "realnvp train digits --workdir=~/run"
    assert [start["step"] for start in run["starts"]] == [0, 3]
    assert set(run["starts"][1]) == {"command", "step", "date", "version", "commit", "jax", "devices"}
    note_start(path, None, 5)
    assert len(json.loads(path.read_text())["starts"]) == 3


def test_a_damaged_file_is_begun_again(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{")
    note_start(path, "realnvp train digits", 0)
    assert len(json.loads(path.read_text())["starts"]) == 1


def test_a_home_that_is_the_root_directory_is_left(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert without_home("/a /b") == "/a /b"


def test_a_run_of_version_0_3_keeps_its_command_and_odd_files_are_begun_again(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"command": "python train.py", "date": "2026-11-26", "version": "0.3.0"}))
    note_start(path, "realnvp train digits", 5)
    note_finish(path)
    assert json.loads(path.read_text())["command"] == "python train.py"
    for text in ('{"starts": null}', '{"starts": 3}', '{"starts": [3]}', "[]"):
        path.write_text(text)
        note_start(path, "realnvp train digits", 5)
        assert len(json.loads(path.read_text())["starts"]) == 1
    path.write_text('{"starts": [{}]}')
    note_finish(path)
    assert json.loads(path.read_text())["command"] is None


def test_a_user_without_a_home(monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it does for a user whom the system does not know
    assert without_home("/a ~/b") == "/a ~/b"
