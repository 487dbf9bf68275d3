"""Pictures become arrays of one shape."""

import dataclasses
import io
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from realnvp_jax.data.images import framing
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.limits import Budget
from tests.data.images.helpers import encoded, pixels
from tests.helpers import refusal

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
    with pytest.raises(BadPictureError, match=r"model.event_shape; got \(6, 4, 1\): dataset.crop='centre' converts"):
        AS_IT_IS.decode(encoded(Image.fromarray(grey)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_transparent_pixels_become_white_in_strips_as_in_one_piece(mode, monkeypatch):
    monkeypatch.setattr(framing, "_STRIP", 4)
    picture = Image.fromarray(pixels(6, 4, 4), "RGBA").convert(mode)
    options = {} if mode.endswith("A") else {"transparency": picture.getpixel((1, 5))}
    file = encoded(picture, **options)
    opened = Image.open(io.BytesIO(file)).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", opened.size, "white"), opened).convert("RGB")
    np.testing.assert_array_equal(RGB.decode(file), np.asarray(expected))
    np.testing.assert_array_equal(GREY.decode(file)[..., 0], np.asarray(expected.convert("L")))


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
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 6, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(4 * 6) for _ in range(6)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_pictures_that_cannot_be_used_say_why():
    deep = Image.fromarray(np.full((6, 4), 40_000, np.uint16))
    for file in (encoded(deep), encoded(deep, "TIFF"), png_of_16_bits_in_rgb()):
        with pytest.raises(BadPictureError, match=r"16 bits per channel, .*: convert it to 8 bits"):
            RGB.decode(file)
    with pytest.raises(BadPictureError, match="32 bits per channel"):
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


def png_of_zeros(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_pictures_of_too_many_pixels_or_bytes_are_not_decoded():
    for width, height in [(8193, 8192), (2**26 + 1, 1), (20_000, 20_000), (2**31 - 1, 2**31 - 1)]:
        with pytest.raises(BadPictureError, match="more than 67,108,864 pixels: scale it down"):
            GREY.decode(png_of_zeros(width, height))
    with pytest.raises(BadPictureError, match="257 MiB, more than the 256 MiB that are read"):
        GREY.decode(bytes(257 * 2**20))


@pytest.mark.parametrize(
    "error", [struct.error, KeyError, MemoryError, RecursionError, AttributeError, ZeroDivisionError]
)
def test_whatever_a_decoder_raises_the_picture_is_left_out(monkeypatch, error):
    def fails(*arguments, **keywords):
        raise error("odd")

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(BadPictureError, match="odd"):
        GREY.decode(b"")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_is_not_held_up(monkeypatch, error):
    def fails(*arguments, **keywords):
        raise error

    monkeypatch.setattr(Image, "open", fails)
    with pytest.raises(error):
        GREY.decode(b"")


@pytest.mark.parametrize("mode", ["LAB", "YCbCr", "CMYK", "LA", "PA", "RGBX", "1", "P"])
@pytest.mark.parametrize("frame", [GREY, RGB, AS_IT_IS])
def test_every_colour_space_is_converted(mode, frame):
    file = encoded(Image.new(mode, (4, 6)), "JPEG" if mode == "YCbCr" else "TIFF")
    assert frame.decode(file).shape == frame.shape


def test_threads_share_the_pixels_that_they_decode(monkeypatch):
    """As many threads as there are pictures hold no more pixels than one of the largest pictures has."""
    together, most, lock = 0, 0, threading.Lock()
    load = Image.Image.load

    def counted(image):
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        time.sleep(0.02)
        loaded = load(image)
        with lock:
            together -= 1
        return loaded

    file = encoded(Image.fromarray(pixels(6, 4, 3)))
    monkeypatch.setattr(framing, "DECODED", Budget(2 * 24))
    monkeypatch.setattr(Image.Image, "load", counted)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: GREY.decode(file), range(16)))
    assert 1 <= most <= 2


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
    with pytest.raises(BadPictureError, match="2 channels, which cannot be converted to 3"):
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
