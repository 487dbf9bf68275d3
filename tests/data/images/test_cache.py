"""The cache of decoded images."""

import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import filelock
import numpy as np
import pytest

from realnvp_jax.data.images import cache, cache_entry
from realnvp_jax.data.images.cache import clear_cache, decode_once, list_cache
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.source import Labels
from tests.data.images.helpers import counted_source
from tests.helpers import PATIENCE, ROOT, refusal, wait_until

FRAMING = Framing((4, 3, 1))


def test_images_are_decoded_once(tmp_path):
    source, reads = counted_source()
    first = decode_once(source, FRAMING, tmp_path)
    expected = np.delete(np.arange(1100), 7)
    np.testing.assert_array_equal(first.images[:, 0, 0, 0], expected % 251)
    assert first.files == tuple(f"{i}.png" for i in expected)
    assert (first.levels, first.left_out) == ((0, 250), {"7.png": "seven"})
    assert sorted(reads) == list(range(1100))
    again = decode_once(source, FRAMING, tmp_path)
    assert len(reads) == 1100
    np.testing.assert_array_equal(again.images, first.images)
    for field in dataclasses.fields(first):
        if field.name != "images":
            assert getattr(again, field.name) == getattr(first, field.name)
    assert not again.images.flags.writeable
    decode_once(source, dataclasses.replace(FRAMING, num_bits=4), tmp_path)
    decode_once(counted_source(1000)[0], FRAMING, tmp_path)
    assert [entry.num for entry in list_cache(tmp_path)].count(1099) == 2
    assert sum(entry.num_bytes for entry in list_cache(tmp_path)) > 3 * 999 * 12
    (tmp_path / "mine.txt").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / ("0" * 32 + ".partial")).mkdir()
    (tmp_path / ("0" * 32 + ".partial") / "images.bin").write_bytes(bytes(1000))
    assert [(entry.title, entry.num_bytes) for entry in list_cache(tmp_path)][3:] == [("", 1000)]
    with filelock.FileLock(tmp_path / ("0" * 32 + ".lock")):  # someone is writing it
        assert clear_cache(tmp_path) == 3
    assert clear_cache(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "mine.txt"]
    np.testing.assert_array_equal(again.images, first.images)  # still mapped
    assert list_cache(tmp_path / "nowhere") == []


@pytest.mark.parametrize("name", ["images.bin", "labels.bin", "files.json", "entry.json"])
def test_a_flipped_bit_is_found(tmp_path, name):
    source, reads = counted_source(20)
    source = dataclasses.replace(source, labels=Labels(("a", "b"), lambda i: i % 2))
    expected = decode_once(source, FRAMING, tmp_path)
    expected = dataclasses.replace(expected, images=expected.images.copy())
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    content = (entry / name).read_bytes()
    for place in np.linspace(0, len(content) - 1, 10).astype(int).tolist():
        reads.clear()
        (entry / name).write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        found = decode_once(source, FRAMING, tmp_path)
        assert len(reads) == 20
        for field in dataclasses.fields(found):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(expected, field.name))
    decode_once(source, FRAMING, tmp_path)
    assert len(reads) == 20


def test_what_has_just_been_written_is_not_hashed_again(tmp_path, monkeypatch, capfd):
    source, _ = counted_source(20)
    hashed = []
    compute = cache_entry._hash
    monkeypatch.setattr(cache_entry, "_hash", lambda path: hashed.append(path.name) or compute(path))
    monkeypatch.setattr(cache_entry, "_ANNOUNCED_BYTES", 19 * 12)
    decode_once(source, FRAMING, tmp_path)
    assert hashed == []
    decode_once(source, FRAMING, tmp_path)
    assert sorted(hashed) == ["files.json", "images.bin"]
    assert "checking" not in capfd.readouterr().err
    monkeypatch.setattr(cache_entry, "_ANNOUNCED_BYTES", 19 * 12 - 1)
    decode_once(source, FRAMING, tmp_path)
    captured = capfd.readouterr()
    assert captured.err == "checking 0.0 GB of decoded images in the cache\n"
    assert captured.out == ""


@pytest.mark.parametrize("damage", ["cut off", "no description", "half a description", "a list", "no text"])
def test_a_damaged_entry_is_made_again(tmp_path, damage):
    source, reads = counted_source(20)
    expected = decode_once(source, FRAMING, tmp_path).images.copy()
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    if damage == "cut off":
        os.truncate(entry / "images.bin", 100)
    elif damage == "no description":
        (entry / "entry.json").unlink()
    elif damage == "half a description":
        os.truncate(entry / "entry.json", 10)
    else:
        (entry / "entry.json").write_bytes(b"[]" if damage == "a list" else b"\xff")
    assert [found.title for found in list_cache(tmp_path)] == [""]
    np.testing.assert_array_equal(decode_once(source, FRAMING, tmp_path).images, expected)
    assert len(reads) == 40


def test_an_error_while_the_cache_is_filled_leaves_nothing(tmp_path):
    source, _ = counted_source(fail_at=1000)
    with pytest.raises(RuntimeError, match="stop"):
        decode_once(source, FRAMING, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_full_disk_and_a_directory_that_cannot_be_written_are_refused(tmp_path, monkeypatch):
    source, reads = counted_source()
    (tmp_path / "file").write_text("")
    message = refusal(decode_once, source, FRAMING, tmp_path / "file" / "cache")
    assert "got 'Not a directory': free some space, or set dataset.cache_dir" in message
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=13_000))
        assert "got 'only 0 MB free'" in refusal(decode_once, source, FRAMING, tmp_path)
    assert not reads
    with monkeypatch.context() as patch:  # another program takes the space meanwhile

        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "fsync", full)
        assert "got 'No space left on device'" in refusal(decode_once, source, FRAMING, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(decode_once(source, FRAMING, tmp_path).images) == 1099


FILL = """
import os, sys, time
from pathlib import Path
import numpy as np
from realnvp_jax.data.images.cache import decode_once
from realnvp_jax.data.images.framing import Framing
from realnvp_jax.data.images.source import Labels
from realnvp_jax.data.images.source import Source

end = time.monotonic() + int(sys.argv[5])

def read(framing, i):
    while i >= int(sys.argv[4]) and not Path(sys.argv[3]).exists() and time.monotonic() < end:
        time.sleep(0.01)  # until the test lets it go on
    with open(sys.argv[2], "a") as log:
        log.write(f"{i}\\n")
    return np.full((16, 16, 1), i % 251, np.uint8)

print("ready", flush=True)
source = Source("numbers", {"kind": "slow"}, 1500, read)
images = decode_once(source, Framing((16, 16, 1)), Path(sys.argv[1])).images
assert np.array_equal(images[:, 0, 0, 0], np.arange(1500) % 251)
"""


def fill(directory: Path, log: Path, gate: Path = ROOT, first: int = 0) -> subprocess.Popen:
    """A process that decodes images, from number `first` on once `gate` exists."""
    command = [sys.executable, "-c", FILL, str(directory), str(log), str(gate), str(first), str(PATIENCE)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_that_want_the_same_images_decode_once(tmp_path):
    directory, log, gate = tmp_path / "cache", tmp_path / "log", tmp_path / "gate"
    first = fill(directory, log, gate)
    wait_until(lambda: list(directory.glob("*.partial")))
    second = fill(directory, log, gate)
    assert second.stdout.readline() == "another process is decoding these images; waiting for it\n"
    gate.touch()
    assert [process.communicate()[0] for process in (first, second)] == ["", ""]
    assert (first.returncode, second.returncode) == (0, 0)
    assert sorted(map(int, log.read_text().split())) == list(range(1500))


def test_a_process_that_is_killed_while_it_fills_the_cache_leaves_none_that_loads_wrong(tmp_path):
    directory, log = tmp_path / "cache", tmp_path / "log"
    process = fill(directory, log, tmp_path / "never", first=1100)
    wait_until(lambda: any(path.stat().st_size for path in directory.glob("*.partial/images.bin")))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(directory.glob("*.partial"))
    assert [entry.title for entry in list_cache(directory)] == [""]
    again = fill(directory, log)
    again.communicate()
    assert again.returncode == 0  # it checks what it got
    assert not list(directory.glob("*.partial"))
    assert [entry.num for entry in list_cache(directory)] == [1500]


def test_the_cache_of_the_user_is_used_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert cache.default_cache_dir() == tmp_path / "realnvp_jax" / "images"
