"""Folders of pictures."""

import errno
import os
from pathlib import Path

import numpy as np
from PIL import Image

import realnvp_jax
from realnvp_jax.data.images import folder as folder_module
from realnvp_jax.data.images.cache import decode_once, list_cache
from realnvp_jax.data.images.description import describe, image_data
from realnvp_jax.data.images.folder import folder_source
from realnvp_jax.data.images.framed import load_images
from realnvp_jax.data.images.framing import Framing
from tests.data.images.helpers import SPLITS, encoded, pixels
from tests.helpers import images_of, refusal


def framed_folder(folder: Path, tmp_path: Path, **options):
    data = images_of("folder", path=str(folder), cache_dir=str(tmp_path / "cache"), crop="centre", **options)
    return load_images(data, SPLITS, realnvp_jax.image_flow((8, 8, 3), num_scales=1))


def test_a_folder_is_read_with_all_its_folders(folder, tmp_path):
    splits = framed_folder(folder, tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [11, 2, 1]
    names = [name for role in SPLITS for name in splits.files[role]]
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("[0-9]*") if path.is_file()}
    assert set(names) == found
    assert len(names) == len(found) == 14
    assert not splits.left_out
    framing = Framing((8, 8, 3), "centre")
    for name, image in zip(splits.files["train"], splits.train.x, strict=True):
        np.testing.assert_array_equal(image, framing.decode((folder / name).read_bytes(), upright=True))


def test_the_order_of_a_folder_depends_on_the_seed_and_stays_when_files_come(folder):
    before = list(folder_source(str(folder), "all", 0).files)
    assert before == list(folder_source(str(folder), "all", 0).files)
    assert before != sorted(before)
    assert sorted(folder_source(str(folder), "all", 1).files) == sorted(before)
    assert list(folder_source(str(folder), "all", 1).files) != before
    Image.fromarray(pixels(9, 9, 3)).save(folder / "new.png")
    after = folder_source(str(folder), "all", 0)
    assert [name for name in after.files if name != "new.png"] == before
    assert after.num == 15


def test_every_picture_is_looked_up_once(folder, monkeypatch):
    looked_up = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **options: looked_up.append(path) or stat(path, **options))
    source = folder_source(str(folder), "all", 0)
    names = [path.relative_to(folder).as_posix() for path in looked_up if path != folder]
    assert sorted(names) == sorted(source.files)


def test_folders_in_a_folder_are_splits(folder):
    assert folder_source(str(folder), "more", 0).num == 7
    message = refusal(folder_source, str(folder), "train", 0)
    assert "or one of its subfolders ('more')" in message


def test_pictures_that_cannot_be_used_are_named_and_left_out(folder, tmp_path):
    (folder / "notes.png").write_text("notes")
    (folder / "small.png").write_bytes(encoded(Image.fromarray(pixels(7, 30, 3))))
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    splits = framed_folder(folder, tmp_path)
    assert splits.left_out == {
        "notes.png": "not a picture",
        "small.png": "30x7 pixels, smaller than 8x8",
        "gone.jpg": "No such file or directory",
    }
    assert sum(len(names) for names in splits.files.values()) == 14
    again = framed_folder(folder, tmp_path)  # from the cache
    assert again.left_out == splits.left_out
    message = refusal(framed_folder, folder, tmp_path, strict=True)
    assert "as dataset.strict asks; got 3 others, the first '" in message


def test_folders_of_equal_listings_are_told_apart(tmp_path):
    images = []
    for seed, name in enumerate(["a", "b"]):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(pixels(8, 8, 3, seed=10 * seed + i)).save(tmp_path / name / f"{i}.bmp")
            os.utime(tmp_path / name / f"{i}.bmp", (0, 0))
        source = folder_source(str(tmp_path / name), "all", 0)
        images.append(decode_once(source, Framing((8, 8, 3)), tmp_path / "cache").images)
    assert not np.array_equal(*images)


def test_links_are_followed_once_and_pipes_are_no_pictures(folder):
    (folder / "again").symlink_to(folder / "more")
    (folder / "more" / "round").symlink_to(folder)
    assert folder_source(str(folder), "all", 0).num == 14


def test_what_is_no_picture_file_is_named_and_left_out(folder, tmp_path):
    for name, target in [("self.png", "self.png"), ("zeros.png", "/dev/zero"), ("piped.jpg", "pipe.png")]:
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe.png")
    (folder / "into").symlink_to("into")
    (folder / "shut.png").symlink_to("12.TIFF/x.png")
    Image.new("RGB", (9, 9)).save(folder / "a.gif")
    (folder / "photo.HEIC").write_bytes(b"")
    with (folder / "sparse.png").open("wb") as file:
        file.truncate(30 * 2**30)
    splits = framed_folder(folder, tmp_path)
    assert sum(len(names) for names in splits.files.values()) == 14
    assert splits.left_out == {
        "self.png": "Too many levels of symbolic links",
        "zeros.png": "not a file, but a device, a pipe or a directory",
        "piped.jpg": "not a file, but a device, a pipe or a directory",
        "pipe.png": "not a file, but a device, a pipe or a directory",
        "shut.png": "Not a directory",
        "a.gif": "a .gif file, a format that is not read: convert it to PNG",
        "photo.HEIC": "a .HEIC file, a format that is not read: convert it to PNG",
        "sparse.png": "30,720 MiB, more than the 256 MiB that are read",
    }


def test_a_folder_of_other_pictures_has_none(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"")
    assert "got none, and 1 other files" in refusal(folder_source, str(tmp_path), "all", 0)


def test_names_that_are_not_unicode(tmp_path):
    name = os.fsdecode(b"\xff\n.png")
    Image.fromarray(pixels(8, 8, 3)).save(os.path.join(tmp_path, "good.png"))
    (tmp_path / name).write_text("no picture")
    source = folder_source(str(tmp_path), "all", 0)
    decoded = decode_once(source, Framing((8, 8, 3)), tmp_path / "cache")
    assert list(decoded.left_out) == [name]
    assert decode_once(source, Framing((8, 8, 3)), tmp_path / "cache").left_out == decoded.left_out
    message = refusal(decode_once, source, Framing((8, 8, 3)), tmp_path / "cache", strict=True)
    assert message.isprintable()
    assert str(describe(image_data(str(tmp_path), cache_dir=str(tmp_path / "cache")))).encode()


def test_an_error_of_reading_is_no_bad_picture(folder, tmp_path, monkeypatch):
    def fails(path, flags):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "_open_without_waiting", fails)
        message = refusal(framed_folder, folder, tmp_path)
    assert "got 'Too many open files' at" in message
    assert len(framed_folder(folder, tmp_path).train) == 11


def test_files_left_out_of_splits_keep_their_folders_names(tmp_path):
    for split in ("train", "val", "test"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "bad.png").write_text("")
        for i in range(2):
            Image.fromarray(pixels(8, 8, 3, seed=i)).save(tmp_path / split / f"{i}.png")
    data = images_of("folder", path=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    names = {"train": "train", "validation": "val", "test": "test"}
    splits = load_images(data, names, realnvp_jax.image_flow((8, 8, 3), num_scales=1))
    assert sorted(splits.left_out) == ["test/bad.png", "train/bad.png", "val/bad.png"]
    assert sorted(splits.files["validation"]) == ["val/0.png", "val/1.png"]
    assert set(splits.sha256) == {"train", "val", "test"}
    assert splits.sha256["train"] == splits.sha256["val"]


def test_folders_that_hold_nothing_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("")
    assert "got none, and 1 other files" in refusal(folder_source, str(tmp_path / "empty"), "all", 0)
    for path in ("", str(tmp_path / "nowhere"), str(folder / "0.png")):
        assert "which is not a folder" in refusal(folder_source, path, "all", 0)
    data = images_of("folder", path=str(folder), cache_dir=str(tmp_path / "cache"), crop="centre")
    message = refusal(load_images, data, SPLITS, realnvp_jax.image_flow((64, 64, 3)))
    assert "got none of 14; the first left out is '" in message
    assert "smaller than 64x64" in message
    assert list_cache(tmp_path / "cache") == []
    assert not list((tmp_path / "cache").glob("*.partial"))
    message = refusal(
        load_images, data, {**SPLITS, "test": "all[95%:96%]"}, realnvp_jax.image_flow((8, 8, 3), num_scales=1)
    )
    assert message == "expected examples in dataset.test='all[95%:96%]'; got none of 14"
