"""Preparing data sets: downloads, original files, and what is missing."""

import subprocess
import sys
import threading

import pytest

from realnvp_jax.data.images.prepare import find_or_prepare
from tests.data.images.archives import cifar10_archive, expect_these_archives, load_named, mnist_archives
from tests.helpers import PATIENCE, ROOT, refusal


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "cifar10",
            "no answer from 'www.cs.toronto.edu': put cifar-10-binary.tar.gz into a directory and set",
        ),
        ("downsampled_imagenet/32x32", "put train_32x32.tar, valid_32x32.tar into"),
        ("downsampled_imagenet", "expected 'downsampled_imagenet', a slash and one of '32x32, 64x64'"),
        ("lsun/tower", "put tower_train_lmdb.zip, tower_val_lmdb.zip into"),
        ("lsun/cat", "put cat.zip into"),
        ("celeb_a", "put list_eval_partition.txt, img_align_celeba.zip, list_attr_celeba.txt, list_landmarks_align"),
        ("cifar10/x", "expected 'cifar10' as dataset.name; got 'cifar10/x'"),
        ("celeba", "did you mean 'celeb_a'?"),
    ],
)
def test_without_network_and_files_the_answer_says_where_to_put_what(name, expected, tmp_path, manual_dir):
    assert expected in refusal(load_named, name, tmp_path)
    if "put" in expected:
        message = refusal(load_named, name, tmp_path, str(manual_dir))
        assert "dataset.manual_dir" in message
        assert message.endswith("dataset.manual_dir")
    with pytest.raises(ValueError, match=r"a slash and a config; got '../x'"):
        load_named("../x", tmp_path)
    assert "which is not a directory" in refusal(load_named, "cifar10", tmp_path, str(tmp_path / "nowhere"))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("below", ["tiny", "tiny/8x8", "tiny/8x8/1.0.0"])
def test_the_directory_of_the_data_set_itself_is_refused(below, tmp_path):
    (tmp_path / "data/tiny/8x8/1.0.0").mkdir(parents=True)
    (tmp_path / "data/tiny/8x8/1.0.0/dataset_info.json").write_text("{}")
    message = refusal(find_or_prepare, "tiny/8x8", str(tmp_path / "data" / below))
    assert "expected the directory that contains 'tiny' as dataset.data_dir" in message
    assert message.endswith(f"use {str(tmp_path / 'data')!r}")


def test_a_host_that_is_silent_is_given_up_after_two_seconds(tmp_path, manual_dir, monkeypatch):
    from realnvp_jax.data.images import prepare

    waiting = threading.Event()

    def silent(*arguments, **keywords):
        waiting.wait(PATIENCE)
        raise OSError

    monkeypatch.setattr(prepare.urllib.request, "urlopen", silent)
    waits: list[float | None] = []
    monkeypatch.setattr(threading.Thread, "join", lambda self, timeout=None: waits.append(timeout))  # as if they passed
    assert "no answer from" in refusal(load_named, "cifar10", tmp_path)
    assert waits == [2.0]
    waiting.set()


def test_a_download_that_is_refused_says_where_to_put_what(tmp_path, manual_dir, monkeypatch):
    import tensorflow_datasets as tfds

    from realnvp_jax.data.images import prepare
    from realnvp_jax.data.images.builders import builder_class

    def refused(self, **keywords):
        raise tfds.download.DownloadError("HTTP code: 404.")

    monkeypatch.setattr(prepare, "_answers", lambda url: True)
    monkeypatch.setattr(builder_class("cifar10"), "download_and_prepare", refused)
    message = refusal(load_named, "cifar10", tmp_path)
    assert "got neither, and 'HTTP code: 404.': put cifar-10-binary.tar.gz into a directory and set" in message


PREPARE = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
import pytest
from realnvp_jax.data.images.prepare import find_or_prepare
from tests.data.images.archives import expect_these_archives, load_named
from realnvp_jax.data.images import prepare
prepare._answers = lambda url: False
originals = Path(sys.argv[1])
with pytest.MonkeyPatch.context() as patch:
    expect_these_archives("mnist", originals, patch)
    print("ready", flush=True)
    sys.stdin.readline()
    print(prepare.find_or_prepare("mnist", sys.argv[2], sys.argv[1]).name)
"""


def test_two_processes_that_prepare_together_both_succeed(tmp_path, manual_dir):
    mnist_archives(manual_dir)
    arguments = [sys.executable, "-c", PREPARE, str(manual_dir), str(tmp_path / "data")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(arguments, cwd=ROOT, text=True, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0].splitlines()[-1] for process in processes] == ["3.0.1", "3.0.1"]


def test_original_files_that_cannot_be_prepared_are_refused(tmp_path, manual_dir, monkeypatch):
    from realnvp_jax.data.images.builders import builder_class

    cifar10_archive(manual_dir)
    message = refusal(load_named, "cifar10", tmp_path, str(manual_dir))
    assert "'cifar-10-binary.tar.gz', as TFDS knows them; got NonMatchingChecksumError" in message
    expect_these_archives("cifar10", manual_dir, monkeypatch)
    (tmp_path / "data").rename(tmp_path / "before")
    (tmp_path / "data").write_text("a file in the way")
    message = refusal(load_named, "cifar10", tmp_path, str(manual_dir))
    assert "set dataset.data_dir to a writable directory" in message
    (tmp_path / "data").unlink()

    def needs_tensorflow(self, **keywords):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(builder_class("cifar10"), "download_and_prepare", needs_tensorflow)
    message = refusal(load_named, "cifar10", tmp_path, str(manual_dir))
    assert "prepare it where TensorFlow is installed, with file_format" in message
