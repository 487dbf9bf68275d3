"""Images from anywhere: pictures, folders, arrays, TFDS; the cache; batches."""

import dataclasses
import errno
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import filelock
import jax
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import realnvp_jax
from realnvp_jax.cli.data import main
from realnvp_jax.data.images import cache
from realnvp_jax.data.images.arrays import array_source, array_splits
from realnvp_jax.data.images.cache import clear_cache, decode_once, list_cache
from realnvp_jax.data.images.description import describe, image_data
from realnvp_jax.data.images.folder import folder_source
from realnvp_jax.data.images.framed import load_images, load_split
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.prepared import find_prepared
from realnvp_jax.data.images.source import Source
from realnvp_jax.data.prefetch import prefetch
from realnvp_jax.data.splits import parse_split
from realnvp_jax.training.steps import augment, random_crop
from tests.helpers import images_of, refusal

ROOT = Path(__file__).parent.parent
SPLITS = {"train": "all[:80%]", "validation": "all[80%:90%]", "test": "all[90%:]"}


def pixels(*shape: int, seed: int = 0, levels: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8)


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


# framing

AS_IT_IS = Framing((6, 4, 3))
GREY = Framing((6, 4, 1), "centre")
RGB = Framing((6, 4, 3), "centre")


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "WebP"])
def test_pictures_without_loss_are_read_as_they_were(file_format):
    x = pixels(6, 4, 3)
    options = {"lossless": True} if file_format == "WebP" else {}
    np.testing.assert_array_equal(AS_IT_IS.decode(encoded(Image.fromarray(x), file_format, **options)), x)
    np.testing.assert_array_equal(RGB.decode(encoded(Image.fromarray(x), file_format, **options)), x)


def test_colours_are_converted():
    grey = pixels(6, 4)
    np.testing.assert_array_equal(GREY.decode(encoded(Image.fromarray(grey)))[..., 0], grey)
    np.testing.assert_array_equal(RGB.decode(encoded(Image.fromarray(grey))), np.repeat(grey[..., None], 3, axis=2))
    black_and_white = Image.fromarray(grey).convert("1")
    assert set(np.unique(GREY.decode(encoded(black_and_white)))) == {0, 255}
    palette = Image.fromarray(pixels(6, 4, 3)).quantize(8)
    np.testing.assert_array_equal(RGB.decode(encoded(palette)), np.asarray(palette.convert("RGB")))
    rgba = np.dstack([pixels(6, 4, 3), np.full((6, 4), 255, np.uint8)])
    rgba[0, 0, 3] = 0
    decoded = RGB.decode(encoded(Image.fromarray(rgba)))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    np.testing.assert_array_equal(decoded[1:], rgba[1:, :, :3])
    jpeg = encoded(Image.new("CMYK", (4, 6), (0, 0, 0, 0)), "JPEG")
    assert RGB.decode(jpeg).min() > 250
    with pytest.raises(BadPictureError, match=r"expected shape \(6, 4, 3\), model.event_shape; got \(6, 4, 1\)"):
        AS_IT_IS.decode(encoded(Image.fromarray(grey)))


def test_exif_turns_a_picture_only_where_it_is_asked_for():
    exif = Image.Exif()
    exif[0x0112] = 6  # the row that is stored first is the right-hand column
    stored = np.zeros((4, 6, 3), np.uint8)
    stored[0] = 255
    file = encoded(Image.fromarray(stored), "PNG", exif=exif)
    upright = AS_IT_IS.decode(file, upright=True)
    assert upright[:, -1].min() == 255
    assert upright[:, :-1].max() == 0
    with pytest.raises(BadPictureError, match=r"got \(4, 6, 3\)"):
        AS_IT_IS.decode(file)


def png_of_16_bits_in_rgb() -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 6, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(4 * 6) for _ in range(6)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_pictures_that_cannot_be_used_say_why():
    deep = Image.fromarray(np.full((6, 4), 40_000, np.uint16))
    for file in (encoded(deep), encoded(deep, "TIFF"), png_of_16_bits_in_rgb()):
        with pytest.raises(BadPictureError, match=r"16 bits a channel, .*: convert it to 8 bits"):
            RGB.decode(file)
    with pytest.raises(BadPictureError, match="32 bits a channel"):
        GREY.decode(encoded(Image.fromarray(np.ones((6, 4), np.float32)), "TIFF"))
    jpeg = encoded(Image.fromarray(pixels(60, 40, 3)), "JPEG")
    with pytest.raises(BadPictureError, match="truncated"):
        RGB.decode(jpeg[: len(jpeg) // 2])
    for file in (b"", b"my notes", jpeg[:10]):
        with pytest.raises(BadPictureError, match=r"not a picture|(?i:truncated)"):
            RGB.decode(file)
    with pytest.raises(BadPictureError, match="4x5 pixels, smaller than 4x6"):
        RGB.decode(encoded(Image.fromarray(pixels(5, 4, 3))))
    with pytest.raises(BadPictureError, match="4x6 pixels do not contain rows and columns 0:6,0:5"):
        Framing((6, 4, 3), "0:6,0:5").decode(encoded(Image.fromarray(pixels(6, 4, 3))))


def test_crops():
    x = pixels(10, 30, 3)
    np.testing.assert_array_equal(Framing((10, 10, 3), "centre").frame(x), x[:, 10:20])
    np.testing.assert_array_equal(Framing((10, 4, 3), "centre").frame(x), x[:, 13:17])
    np.testing.assert_array_equal(Framing((2, 5, 3), "3:5,20:25").frame(x), x[3:5, 20:25])
    half = Framing((5, 5, 3), "centre").frame(x)
    expected = np.asarray(Image.fromarray(x[:, 10:20]).resize((5, 5), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(half, expected)
    random = Framing((4, 6, 1), "random", resize=8)
    assert random.framed_shape == (8, 12, 1)
    np.testing.assert_array_equal(random.frame(pixels(8, 20, 1)), pixels(8, 20, 1)[:, 4:16])
    grey = Framing((5, 5, 1), "centre").frame(x[..., :1])
    np.testing.assert_array_equal(grey[..., 0], half[..., 0])
    assert Framing((5, 5, 1), "centre").frame(x).shape == (5, 5, 1)
    np.testing.assert_array_equal(Framing((5, 5, 3), "centre").frame(x[..., :1]), grey.repeat(3, axis=2))
    with pytest.raises(BadPictureError, match="2 channels, of which 3 cannot be made"):
        Framing((5, 5, 3), "centre").frame(x[..., :2])


def test_anti_aliased_reduction_keeps_the_mean_of_a_fine_pattern():
    stripes = np.zeros((64, 64, 1), np.uint8)
    stripes[:, ::2] = 255
    reduced = Framing((16, 16, 1), "centre").frame(stripes)
    assert np.abs(reduced[:, 2:-2].astype(int) - 128).max() <= 3
    assert Framing((16, 16, 1), "centre", resample="interpolate").frame(stripes).min() == 255


def test_interpolation_is_that_of_the_authors():
    x = pixels(148, 148, 3)
    y = Framing((64, 64, 3), "0:148,0:148", resample="interpolate").frame(x)
    for i, j in [(0, 0), (63, 63), (5, 40)]:
        row, column = i * 148 / 64, j * 148 / 64
        (top, down), (left, right) = divmod(row, 1), divmod(column, 1)
        corner = x[int(top) : int(top) + 2, int(left) : int(left) + 2].astype(float)
        value = np.einsum("ijc,i,j->c", corner, [1 - down, down], [1 - right, right])
        assert np.abs(y[i, j] - value).max() <= 0.5 + 1e-4
    constant = Framing((3, 7, 1), "0:5,0:5", resample="interpolate").frame(np.full((5, 5, 1), 77, np.uint8))
    np.testing.assert_array_equal(constant, 77)


def test_bits_are_reduced():
    x = pixels(6, 4, 3)
    five = dataclasses.replace(AS_IT_IS, num_bits=5).frame(x)
    np.testing.assert_array_equal(five, x // 8)
    assert dataclasses.replace(AS_IT_IS, num_bits=1).frame(x).max() == 1
    np.testing.assert_array_equal(dataclasses.replace(AS_IT_IS, num_bits=8).frame(x), x)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"crop": "center"}, "expected dataset.crop, one of"),
        ({"crop": "5:3,0:4"}, "expected dataset.crop, one of"),
        ({"resample": "nearest"}, "expected dataset.resample, one of"),
        ({"num_bits": 9}, "expected dataset.num_bits from 1 to 8"),
        ({"crop": "random", "resize": 5}, "expected dataset.resize of at least the height 6"),
        ({"crop": "centre", "resize": 8}, "expected dataset.resize of 0 unless"),
        ({"crop": "centre", "shape": (6, 4, 2)}, "expected 1 or 3 channels"),
        ({"shape": (6, 0, 3)}, "expected images of at least 1x1 pixels"),
    ],
)
def test_framings_that_make_no_sense_are_refused(options, expected):
    assert expected in refusal(lambda: Framing(**{"shape": (6, 4, 3), **options}))


# folders


@pytest.fixture
def folder(tmp_path) -> Path:
    """Fourteen pictures of several sizes and formats, one hidden, and other files."""
    root = tmp_path / "pictures"
    (root / "more" / "deep").mkdir(parents=True)
    names = [
        f"{place}{i}.{suffix}"
        for i, (suffix, place) in enumerate(
            itertools.product(["png", "jpg", "JPEG", "webp", "bmp", "tif", "TIFF"], ["", "more/deep/"])
        )
    ]
    for i, name in enumerate(names):
        Image.fromarray(pixels(10 + i, 24 - i, 3, seed=i)).save(root / name)
    (root / ".hidden.png").write_bytes(b"")
    (root / "more" / "readme.txt").write_text("no picture")
    return root


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


def test_folders_in_a_folder_are_splits(folder):
    assert folder_source(str(folder), "more", 0).num == 7
    message = refusal(folder_source, str(folder), "train", 0)
    assert "or one of the folders in it (there: 'more')" in message


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
    os.mkfifo(folder / "pipe.png")
    assert folder_source(str(folder), "all", 0).num == 14


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
    def fails(path):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fails)
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


# arrays


def test_arrays_are_read_in_an_order_that_the_seed_fixes(tmp_path):
    x = pixels(20, 5, 4)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", images=x, labels=np.arange(20))
    flow = realnvp_jax.image_flow((5, 4, 1), num_scales=1)
    orders = []
    for path, seed in itertools.product(["x.npy", "x.npz"], [0, 1]):
        data = images_of("npz", path=str(tmp_path / path), cache_dir=str(tmp_path / "cache"), seed=seed)
        splits = load_images(data, SPLITS, flow)
        found = np.concatenate([splits.train.x, splits.validation.x, splits.test.x])
        np.testing.assert_array_equal(found, x[np.random.default_rng(seed).permutation(20), ..., None])
        orders.append(found)
    np.testing.assert_array_equal(orders[0], orders[2])
    assert not np.array_equal(orders[0], orders[1])


def test_several_arrays_are_splits_by_name(tmp_path):
    train, test = pixels(20, 5, 4, 3), pixels(6, 5, 4, 3, seed=1)
    np.savez_compressed(tmp_path / "x.npz", x_train=train, y_train=np.arange(20), x_test=test)
    path = str(tmp_path / "x.npz")
    assert array_splits(path) == ["x_train", "x_test"]
    data = images_of("npz", path=path, cache_dir=str(tmp_path / "cache"), num_bits=3)
    names = {"train": "x_train[:-5]", "validation": "x_train[-5:]", "test": "x_test"}
    splits = load_images(data, names, realnvp_jax.image_flow((5, 4, 3), num_scales=1, levels=8))
    np.testing.assert_array_equal(splits.train.x, train[:-5] >> 5)
    np.testing.assert_array_equal(splits.test.x, test >> 5)
    assert "'x_train, x_test', as a split; got 'all'" in refusal(array_source, path, "all", 0)
    message = refusal(load_images, data, names, realnvp_jax.image_flow((8, 4, 3), num_scales=1))
    assert "expected images of shape (8, 4, 3), model.event_shape, in 'x.npz, x_train'; got (5, 4, 3)" in message
    wide = dataclasses.replace(data, num_bits=0)
    message = refusal(load_images, wide, names, realnvp_jax.image_flow((5, 4, 3), num_scales=1, levels=8))
    assert "expected pixels in [0, 8)" in message


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": np.zeros((3, 5, 4), np.float32)}, "got 'float32': save them as whole numbers from 0 to 255, np.rint("),
        ({"x": np.zeros((3, 5, 4), np.int64)}, "got 'int64': save them as whole numbers"),
        ({"x": np.array([np.zeros((5, 4)), np.zeros((4, 4))], dtype=object)}, "such as images of different sizes"),
        ({"x": np.zeros((3, 5, 4), [(f"field_{i}", "u1") for i in range(99)])}, "expected uint8 pixels"),
        ({"x": np.zeros((3, 5, 0), np.uint8)}, "got shape (3, 5, 0)"),
        ({"x": np.zeros((3, 5), np.uint8)}, "expected an array [n, height, width] or [n, height, width, channels]"),
        ({}, "expected an array [n, height, width]"),
        ({"x": np.zeros((0, 5, 4), np.uint8)}, "got shape (0, 5, 4)"),
    ],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, arrays, expected):
    np.savez(tmp_path / "x.npz", **arrays)
    assert expected in refusal(array_source, str(tmp_path / "x.npz"), "all", 0)
    if arrays:
        np.save(tmp_path / "x.npy", arrays["x"])
        refusal(array_source, str(tmp_path / "x.npy"), "all", 0)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    for name in ("x.npz", "x.npy"):
        assert "where there is no file" in refusal(array_source, str(tmp_path / name), "all", 0)
        (tmp_path / name).write_text("nothing")
        assert "expected an .npz or .npy file of images" in refusal(array_source, str(tmp_path / name), "all", 0)
    np.save(tmp_path / "y.npy", pixels(3, 5, 4))
    assert "'all', as a split; got 'train'" in refusal(array_source, str(tmp_path / "y.npy"), "train", 0)
    whole = (tmp_path / "y.npy").read_bytes()
    (tmp_path / "y.npy").write_bytes(whole[:-10])
    np.savez_compressed(tmp_path / "z.npz", x=pixels(30, 5, 4))
    damaged = bytearray((tmp_path / "z.npz").read_bytes())
    damaged[300:400] = bytes(100)
    (tmp_path / "z.npz").write_bytes(damaged)
    for name in ("y.npy", "z.npz"):
        data = images_of("npz", path=str(tmp_path / name), cache_dir=str(tmp_path / "cache"))
        message = refusal(load_split, data, "all", Framing((5, 4, 1)))
        assert "expected an .npz or .npy file of images" in message


def test_other_content_beside_an_array_of_images_is_ignored(tmp_path):
    import zipfile

    np.savez(tmp_path / "x.npz", **{"my images": pixels(3, 5, 4)}, labels=np.array(["a", None, "b"]))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    assert array_source(str(tmp_path / "x.npz"), "all", 0).num == 3
    assert array_source(str(tmp_path / "x.npz"), "my images", 0).num == 3
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    assert array_source(str(tmp_path / "x.npy"), "all", 0).num == 3
    assert parse_split("my images[:80%]") == ("my images", "", "80%")


# the cache


def counted_source(num: int = 1100, fail_at: int | None = None) -> tuple[Source, list[int]]:
    """A source of 4x3x1 images whose pixels say their number, and the numbers that were read."""
    reads: list[int] = []

    def read(framing: Framing, i: int) -> np.ndarray:
        reads.append(i)
        if i == fail_at:
            raise RuntimeError("stop")
        if i == 7:
            raise BadPictureError("seven")
        return framing.frame(np.full((4, 3, 1), i % 251, np.uint8))

    return Source("numbers", {"kind": "test", "num": num}, num, read, files=[f"{i}.png" for i in range(num)]), reads


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
    assert dataclasses.replace(again, images=first.images) == dataclasses.replace(first, images=first.images)
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
from realnvp_jax.data.images.source import Source

def read(framing, i):
    time.sleep(0.002)
    with open(sys.argv[2], "a") as log:
        log.write(f"{i}\\n")
    return np.full((4, 3, 1), i % 251, np.uint8)

print("ready", flush=True)
source = Source("numbers", {"kind": "slow"}, 1500, read)
images = decode_once(source, Framing((4, 3, 1)), Path(sys.argv[1])).images
assert np.array_equal(images[:, 0, 0, 0], np.arange(1500) % 251)
"""


def fill(directory: Path, log: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", FILL, str(directory), str(log)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_until(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_two_processes_that_start_together_decode_once(tmp_path):
    log = tmp_path / "log"
    processes = [fill(tmp_path / "cache", log) for _ in range(2)]
    printed = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(map(int, log.read_text().split())) == list(range(1500))
    assert sorted(printed) == ["", "another process is decoding these images; waiting for it\n"]


def test_a_process_that_is_killed_while_it_fills_the_cache_leaves_none_that_loads_wrong(tmp_path):
    directory, log = tmp_path / "cache", tmp_path / "log"
    process = fill(directory, log)
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


# data sets of TFDS


def cifar10_archive(directory: Path) -> dict[str, np.ndarray]:
    """cifar-10-binary.tar.gz with six small files, and the images that are in it."""
    import tarfile

    images = {"train": pixels(15, 32, 32, 3), "test": pixels(4, 32, 32, 3, seed=1)}
    files = {f"data_batch_{k + 1}.bin": images["train"][3 * k : 3 * k + 3] for k in range(5)}
    files["test_batch.bin"] = images["test"]
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    content = {"batches.meta.txt": ("\n".join(names) + "\n\n").encode()}
    for name, batch in files.items():
        content[name] = b"".join(bytes([i % 10]) + x.transpose(2, 0, 1).tobytes() for i, x in enumerate(batch))
    with tarfile.open(directory / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return images


def mnist_archives(directory: Path) -> dict[str, np.ndarray]:
    import gzip
    import struct

    images = {"train": pixels(15, 28, 28, 1), "test": pixels(4, 28, 28, 1, seed=1)}
    for split, part in (("train", "train"), ("test", "t10k")):
        num = len(images[split])
        header = struct.pack(">4i", 0x803, num, 28, 28)
        (directory / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images[split].tobytes()))
        labels = struct.pack(">2i", 0x801, num) + bytes(i % 10 for i in range(num))
        (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return images


def svhn_archives(directory: Path) -> dict[str, np.ndarray]:
    from scipy.io import savemat

    images = {split: pixels(5, 32, 32, 3, seed=seed) for seed, split in enumerate(("train", "test", "extra"))}
    for split, x in images.items():
        savemat(directory / f"{split}_32x32.mat", {"X": x.transpose(1, 2, 3, 0), "y": np.arange(1, 11)[-5:, None]})
    return images


def lsun_archives(directory: Path) -> dict[str, np.ndarray]:
    import zipfile

    lmdb = pytest.importorskip("lmdb")
    images = {"train": pixels(5, 10, 12, 3), "validation": pixels(3, 10, 12, 3, seed=1)}
    for split, part in (("train", "train"), ("validation", "val")):
        name = f"tower_{part}_lmdb"
        with lmdb.open(str(directory / name)) as environment, environment.begin(write=True) as content:
            for i, x in enumerate(images[split]):
                content.put(f"{i:04d}".encode(), encoded(Image.fromarray(x), "WebP", lossless=True))
        with zipfile.ZipFile(directory / f"{name}.zip", "w") as archive:
            archive.write(directory / name / "data.mdb", f"{name}/data.mdb")
    return images


def celeb_a_archives(directory: Path) -> dict[str, np.ndarray]:
    import zipfile

    from tensorflow_datasets.datasets.celeb_a import celeb_a_dataset_builder as celeb_a

    images = {split: pixels(3, 218, 178, 3, seed=seed) for seed, split in enumerate(("train", "validation", "test"))}
    names = [f"{i:06d}.jpg" for i in range(1, 10)]
    with zipfile.ZipFile(directory / "img_align_celeba.zip", "w") as archive:
        for name, x in zip(names, itertools.chain(*images.values()), strict=True):
            archive.writestr(f"img_align_celeba/{name}", encoded(Image.fromarray(x)))

    def write(file: str, values: int, headings: list[str] | None = None) -> None:
        lines = [] if headings is None else ["9", " ".join(headings)]
        lines += [" ".join([name, *["1"] * values]) for name in names]
        (directory / file).write_text("\n".join(lines) + "\n")

    write("list_attr_celeba.txt", len(celeb_a.ATTR_HEADINGS), celeb_a.ATTR_HEADINGS)
    write("list_landmarks_align_celeba.txt", len(celeb_a.LANDMARK_HEADINGS), celeb_a.LANDMARK_HEADINGS)
    write("identity_CelebA.txt", 1)
    partition = [f"{name} {i // 3}" for i, name in enumerate(names)]
    (directory / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    return images


def imagenet_archives(directory: Path) -> dict[str, np.ndarray]:
    import tarfile

    images = {"train": pixels(5, 32, 32, 3), "validation": pixels(3, 32, 32, 3, seed=1)}
    for split, part in (("train", "train"), ("validation", "valid")):
        with tarfile.open(directory / f"{part}_32x32.tar", "w") as archive:
            for i, x in enumerate(images[split]):
                content = encoded(Image.fromarray(x))
                entry = tarfile.TarInfo(f"{part}_32x32/{i}.png")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return images


ARCHIVES = {
    "celeb_a": celeb_a_archives,
    "downsampled_imagenet/32x32": imagenet_archives,
    "cifar10": cifar10_archive,
    "mnist": mnist_archives,
    "fashion_mnist": mnist_archives,
    "svhn_cropped": svhn_archives,
    "lsun/tower": lsun_archives,
}


@pytest.fixture
def manual_dir(tmp_path, monkeypatch) -> Path:
    """A directory of original files; no host answers."""
    from realnvp_jax.data.images import prepare

    def nobody(*arguments, **keywords):
        raise OSError("no network")

    monkeypatch.setattr(prepare.urllib.request, "urlopen", nobody)
    directory = tmp_path / "originals"
    directory.mkdir()
    return directory


def expect_these_archives(name: str, directory: Path, monkeypatch) -> None:
    """Let TFDS expect the checksums of the files in a directory, instead of those of the whole data set."""
    import hashlib

    import tensorflow_datasets as tfds

    from realnvp_jax.data.images.builders import archives, builder_class

    short, _, config = name.partition("/")
    builder_type = builder_class(short)
    builder = builder_type(data_dir=directory / "unused", **({"config": config} if config else {}))
    infos = {}
    for file, url in archives(builder).items():
        content = (directory / file).read_bytes()
        infos[url] = tfds.core.download.checksums.UrlInfo(len(content), hashlib.sha256(content).hexdigest(), file)
    monkeypatch.setattr(builder_type, "url_infos", infos)


@pytest.mark.parametrize("name", list(ARCHIVES))
def test_original_archives_are_prepared_without_tensorflow(name, tmp_path, manual_dir, monkeypatch):
    import tensorflow_datasets as tfds

    images = ARCHIVES[name](manual_dir)
    expect_these_archives(name, manual_dir, monkeypatch)
    data = images_of(
        name, data_dir=str(tmp_path / "data"), manual_dir=str(manual_dir), cache_dir=str(tmp_path / "cache")
    )
    test = "test" if "test" in images else "validation"
    names = {"train": "train[:-1]", "validation": "train[-1:]", "test": test}
    flow = realnvp_jax.image_flow(images["train"].shape[1:], num_scales=1)
    splits = load_images(data, names, flow)
    found = {"train": np.concatenate([splits.train.x, splits.validation.x]), test: splits.test.x}
    for split, x in found.items():  # TFDS shuffles
        assert sorted(image.tobytes() for image in x) == sorted(image.tobytes() for image in images[split])
    assert "tensorflow" not in sys.modules
    source = tfds.data_source(name, split="train", data_dir=tmp_path / "data")  # plain TFDS opens it
    np.testing.assert_array_equal(source[0]["image"], found["train"][0])
    if name in ("cifar10", "mnist", "fashion_mnist", "svhn_cropped"):
        pairs = {example["image"].tobytes(): example["label"] for example in source}
        expected = np.arange(len(images["train"])) % (3 if name == "cifar10" else 10)
        if name == "svhn_cropped":
            expected = np.arange(6, 11) % 10
        assert [pairs[image.tobytes()] for image in images["train"]] == expected.tolist()
    shutil.rmtree(manual_dir)
    load_images(data, names, flow)  # what is prepared needs no archives


def test_the_same_file_names_are_kept_apart_by_folders(tmp_path, manual_dir, monkeypatch):
    (manual_dir / "fashion_mnist").mkdir()
    images = mnist_archives(manual_dir / "fashion_mnist")
    expect_these_archives("fashion_mnist", manual_dir / "fashion_mnist", monkeypatch)
    data = images_of(
        "fashion_mnist", data_dir=str(tmp_path / "data"), manual_dir=str(manual_dir), cache_dir=str(tmp_path / "cache")
    )
    flow = realnvp_jax.image_flow((28, 28, 1), num_scales=1)
    splits = load_images(data, {"train": "train", "validation": "test", "test": "test"}, flow)
    assert len(splits.train) == len(images["train"])


def load_named(name: str, tmp_path: Path, manual_dir: str = "") -> None:
    data = images_of(name, data_dir=str(tmp_path / "data"), manual_dir=manual_dir, cache_dir=str(tmp_path / "cache"))
    load_images(data, {"train": "train"}, realnvp_jax.image_flow((32, 32, 3), num_scales=1))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "cifar10",
            "no answer from 'www.cs.toronto.edu': put cifar-10-binary.tar.gz into a directory and set",
        ),
        ("downsampled_imagenet/32x32", "put train_32x32.tar, valid_32x32.tar into"),
        ("downsampled_imagenet", "expected one of '32x32, 64x64' behind 'downsampled_imagenet' and a slash"),
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
    with pytest.raises(ValueError, match=r"in dataset.name; got '../x'"):
        load_named("../x", tmp_path)
    assert "which is not a directory" in refusal(load_named, "cifar10", tmp_path, str(tmp_path / "nowhere"))
    assert not (tmp_path / "data").exists()


def test_a_host_that_is_silent_is_given_up_after_two_seconds(tmp_path, manual_dir, monkeypatch):
    from realnvp_jax.data.images import prepare

    waiting = threading.Event()

    def silent(*arguments, **keywords):
        waiting.wait(30)
        raise OSError

    monkeypatch.setattr(prepare.urllib.request, "urlopen", silent)
    waits: list[float | None] = []
    join = threading.Thread.join
    monkeypatch.setattr(
        threading.Thread, "join", lambda self, timeout=None: waits.append(timeout) or join(self, timeout)
    )
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
from tests.test_images import expect_these_archives, load_named
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
    assert "set dataset.data_dir to a directory that can be written" in message
    (tmp_path / "data").unlink()

    def needs_tensorflow(self, **keywords):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(builder_class("cifar10"), "download_and_prepare", needs_tensorflow)
    message = refusal(load_named, "cifar10", tmp_path, str(manual_dir))
    assert "prepare it where TensorFlow is installed, with file_format" in message


def test_prepared_data_of_another_kind_are_refused(tmp_path):
    directory = tmp_path / "data" / "tiny" / "1.0.0"
    directory.mkdir(parents=True)
    info = {"name": "tiny", "version": "1.0.0", "splits": [{"name": "train", "shardLengths": ["3"]}, {"name": "test"}]}
    image = {"image": {"image": {"dtype": "uint8", "shape": {"dimensions": ["32", "32", "3"]}}}}

    def write(info, features) -> None:
        (directory / "dataset_info.json").write_text(json.dumps(info))
        (directory / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))

    def load(split: str = "train") -> None:
        data = images_of("tfds", path=str(directory), cache_dir=str(tmp_path / "cache"))
        load_images(data, {"train": split}, realnvp_jax.image_flow((32, 32, 3)))

    write({**info, "fileFormat": "tfrecord"}, image)
    assert "prepared with file_format='array_record'; got tfrecord" in refusal(load)
    write({**info, "fileFormat": "array_record"}, {"text": {}})
    assert "expected a feature 'image' of uint8 images in 'tiny/1.0.0'; got 'text'" in refusal(load)
    write({**info, "fileFormat": "array_record"}, image)
    assert "expected one of the splits ['test', 'train'] of 'tiny/1.0.0'; got 'all'" in refusal(load, "all")
    assert "expected examples in the split 'test'" in refusal(load, "test")
    assert "expected a data set that TFDS has prepared" in refusal(load)  # its records are not there
    (directory / "features.json").write_text("{")
    assert "expected a data set that TFDS has prepared" in refusal(load)
    (directory / "dataset_info.json").write_text("{}")
    assert "no name, version or splits" in refusal(load)


def test_the_newest_version_that_can_be_read_is_taken(tmp_path):
    for version, kind in [("1.9.0", "array_record"), ("1.10.0", "array_record"), ("2.0.0", "tfrecord")]:
        (tmp_path / "tiny" / version).mkdir(parents=True)
        (tmp_path / "tiny" / version / "dataset_info.json").write_text(json.dumps({"fileFormat": kind}))
    shutil.copytree(tmp_path / "tiny" / "1.9.0", tmp_path / "tiny" / "incomplete.ABC_9.0.0")
    assert find_prepared("tiny", tmp_path).name == "1.10.0"
    shutil.rmtree(tmp_path / "tiny" / "1.10.0")
    shutil.rmtree(tmp_path / "tiny" / "1.9.0")
    assert find_prepared("tiny", tmp_path).name == "2.0.0"
    assert find_prepared("other", tmp_path) is None


def test_a_directory_without_a_data_set_is_refused(tmp_path):
    data = images_of("tfds", path=str(tmp_path))
    assert "with dataset_info.json" in refusal(load_images, data, {"train": "all"}, realnvp_jax.image_flow((8, 8, 1)))


SHARED = ROOT.parent / "shared" / "tfds"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the whole of CIFAR-10 and MNIST")
@pytest.mark.parametrize(
    ("name", "shape", "means"),
    [("cifar10", (32, 32, 3), [0.4914, 0.4822, 0.4465]), ("mnist", (28, 28, 1), [0.1307])],
)
def test_whole_data_sets_have_the_known_means(name, shape, means, tmp_path):
    data = images_of(name, data_dir=str(SHARED), cache_dir=str(tmp_path))
    x = load_split(data, "train", Framing(shape)).images
    np.testing.assert_allclose(x.mean((0, 1, 2)) / 255, means, atol=5e-5)


# batches


def test_values_are_made_ahead_in_order():
    made: list[int] = []
    seen = []
    with prefetch(lambda i: made.append(i) or i * i, 3, 9) as values:
        for value in values:
            seen.append(value)
            assert len(made) <= len(seen) + 3
    assert seen == [9, 16, 25, 36, 49, 64]
    assert made == [3, 4, 5, 6, 7, 8]
    with prefetch(lambda i: i, 4, 4) as values:
        assert list(values) == []
    with prefetch(lambda i: i, 4, 5) as values:
        assert list(values) == [4]


def test_two_values_are_ready_before_they_are_asked_for_and_errors_come_in_their_place():
    made: list[int] = []
    third = threading.Event()

    def make(i: int) -> int:
        if i == 2:
            third.wait(10)
            raise RuntimeError("two")
        made.append(i)
        return i

    with prefetch(make, 0, 100) as values:
        wait_until(lambda: made == [0, 1])
        assert next(values) == 0
        assert next(values) == 1
        third.set()
        with pytest.raises(RuntimeError, match="two"):
            next(values)
    assert len(made) < 10  # what waited was dropped


BATCHES = """
import sys
import jax, numpy as np
jax.config.update("jax_platforms", "cpu")
address, num, index, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if num > 1:
    jax.distributed.initialize(address, num, index)
from realnvp_jax.data.examples import Examples
from realnvp_jax.training.parallel import training_batch
reads = []
class Watched(Examples):
    def batch(self, indices):
        reads.append(len(indices))
        return super().batch(indices)
x = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1)
batches = []
for step in range(3, 9):
    batch = training_batch(Watched(x), 7, 8, step)["x"]
    batches.append(np.concatenate([np.asarray(s.data) for s in batch.addressable_shards], 1)[0])
np.savez(path, batches=np.stack(batches), reads=reads)
"""


@pytest.mark.slow
def test_one_process_and_two_make_the_same_batches(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

    def start(num: int, index: int) -> tuple[subprocess.Popen, Path]:
        path = tmp_path / f"{num}_{index}.npz"
        arguments = [sys.executable, "-c", BATCHES, address, str(num), str(index), str(path)]
        return subprocess.Popen(arguments, cwd=ROOT), path

    running = [start(1, 0), start(2, 0), start(2, 1)]
    assert [process.wait(120) for process, _ in running] == [0, 0, 0]
    whole, first, second = (np.load(path) for _, path in running)
    assert whole["batches"].shape == (6, 8, 1, 1, 1)
    np.testing.assert_array_equal(np.concatenate([first["batches"], second["batches"]], 1), whole["batches"])
    assert (set(whole["reads"]), set(first["reads"]), set(second["reads"])) == ({8}, {4}, {4})


def test_random_crops():
    x = np.arange(6 * 5, dtype=np.uint8).reshape(1, 6, 5, 1).repeat(3000, axis=0)
    key, numbers = jax.random.key(0), np.arange(3000)
    crops = np.asarray(random_crop(key, numbers, x, (4, 4, 1)))
    assert crops.shape == (3000, 4, 4, 1)
    corners, counts = np.unique(crops[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 5, 6, 10, 11]
    assert np.abs(counts - 500).max() < 100
    expected = np.stack([x[0, c // 5 : c // 5 + 4, c % 5 : c % 5 + 4] for c in crops[:, 0, 0, 0]])
    np.testing.assert_array_equal(crops, expected)
    some = random_crop(key, numbers[[5, 2]], x[:2], (4, 4, 1))  # only on its number does an image's crop depend
    np.testing.assert_array_equal(some, crops[[5, 2]])
    augmented = augment(key, jax.numpy.arange(4), jax.numpy.asarray(x[:4]), flip=False, shape=(4, 4, 1))
    np.testing.assert_array_equal(np.floor(augmented), crops[:4])
    np.testing.assert_array_equal(random_crop(key, numbers, x, (6, 5, 1)), x)
    for shape in [(4, 4, 3), (7, 4, 1)]:
        with pytest.raises(ValueError, match=r"expected images .* of at least"):
            random_crop(key, numbers, x, shape)


# the data command


@pytest.fixture
def three_splits(tmp_path) -> str:
    train = pixels(20, 5, 4, 3, levels=100)
    test = pixels(10, 5, 4, 3, seed=1)
    train[3], test[2], test[5] = train[0], train[1], train[1]
    np.savez(tmp_path / "x.npz", test=test, train=train)
    return str(tmp_path / "x.npz")


def test_a_description_counts(three_splits, tmp_path):
    description = describe(image_data(three_splits, cache_dir=str(tmp_path / "cache")))
    train, test = description.splits
    assert (train.name, train.num, train.repeated, train.in_first) == ("train", 20, 1, 0)
    assert (test.name, test.num, test.repeated, test.in_first) == ("test", 10, 1, 2)
    x = np.load(three_splits)["train"]
    assert train.levels == (len(np.unique(x)), x.min(), x.max())
    np.testing.assert_allclose(train.mean, x.mean((0, 1, 2)) / 255, rtol=1e-6)
    np.testing.assert_allclose(train.deviation, x.std((0, 1, 2)) / 255, rtol=1e-6)
    assert description.shape == (5, 4, 3)
    assert next(iter(description.baselines)) == "uniform over 256 levels"
    assert description.baselines["uniform over 256 levels"][0] == 8
    assert {count for _, _, count in description.baselines.values()} == {0, 10}
    smaller = describe(image_data(three_splits, cache_dir=str(tmp_path / "cache"), num_bits=2), (4, 4, 1))
    assert smaller.shape == (4, 4, 1)
    assert smaller.splits[1].levels == (4, 0, 3)


def test_pictures_of_one_size_keep_it_and_others_are_said_to_be_resized(tmp_path):
    for i in range(12):
        Image.fromarray(pixels(40, 36, seed=i)).save(tmp_path / f"{i}.png")
    options = {"cache_dir": str(tmp_path / "cache")}
    description = describe(image_data(str(tmp_path), **options))
    assert (description.shape, description.is_resized) == ((40, 36, 1), False)
    Image.fromarray(pixels(50, 36, 3)).save(tmp_path / "other.png")
    description = describe(image_data(str(tmp_path), **options))
    assert (description.shape, description.is_resized) == ((32, 32, 3), True)
    assert "32x32 pixels (cropped and resized), 3 channel(s)" in str(description)


def test_simple_codes():
    from realnvp_jax.data.images.baselines import file_bits, histogram_bits

    train = np.array([[0], [0], [0], [1]], np.uint8).reshape(4, 1, 1, 1)
    bits = histogram_bits(train, np.array([0, 1], np.uint8).reshape(2, 1, 1, 1), levels=2)
    np.testing.assert_allclose(bits, -np.log2([3.1 / 4.2, 1.1 / 4.2]))
    noise, flat = pixels(4, 32, 32, 3), np.zeros((4, 32, 32, 3), np.uint8)
    for file_format in ("PNG", "WebP"):
        assert 8 < file_bits(noise, file_format).mean() < 8.7
        assert file_bits(flat, file_format).max() < 0.5


def test_the_data_command(three_splits, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    options = ["--cache-dir", str(tmp_path / "cache"), "--output", str(sheet)]
    runner = CliRunner()
    result = runner.invoke(main, [three_splits, *options])
    assert result.exit_code == 0, result.output
    for expected in ("5x4 pixels, 3 channel(s), 256 levels", "uniform over 256 levels", "20 images of train"):
        assert expected in result.output
    with Image.open(sheet) as picture:
        assert picture.size[0] > 100
    again = runner.invoke(main, [three_splits, *options])
    assert again.exit_code == 1
    assert "expected a new file in --output; got" in again.output
    (folder / "notes.png").write_text("notes")
    result = runner.invoke(main, [str(folder), *options, "--overwrite", "--size", "8", "--greyscale"])
    assert result.exit_code == 0, result.output
    assert "8x8 pixels (cropped and resized), 1 channel(s)" in result.output
    assert "left out of all: 'notes.png': not a picture" in result.output
    assert runner.invoke(main, ["digits", *options, "--overwrite"]).exit_code == 0
    for arguments, expected in [
        ([], "expected the name of a data set, a folder or a file; got none"),
        ([str(tmp_path / "x.npy")], "where there is no file"),
        ([str(folder), "--size", "64"], "smaller than 64x64"),
        ([str(folder), "--greyscale"], "expected --size with --greyscale"),
        (["digits", "--size", "16"], "expected a crop that fits into the images of digits; got 8x8"),
        (["digits", "--size", "0"], "Invalid value for '--size'"),
        (["digits", "--crop", "random"], "which is for training"),
        (["digits", "--output", str(tmp_path / "no" / "x.png")], "in an existing directory"),
    ]:
        result = runner.invoke(main, [*options, "--overwrite", *arguments])
        assert result.exit_code != 0
        assert expected in result.output
    result = runner.invoke(main, ["--cache", "--cache-dir", str(tmp_path / "cache")])
    assert "MB in 3 entries of" in result.output
    result = runner.invoke(main, ["--clear-cache", "--cache-dir", str(tmp_path / "cache")])
    assert "removed 3 entries" in result.output
    assert list_cache(tmp_path / "cache") == []


def test_the_cache_of_the_user_is_used_unless_another_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(cache.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    assert cache.default_cache_dir() == tmp_path / "realnvp_jax" / "images"
