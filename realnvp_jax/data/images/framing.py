"""Pictures of any size and format as uint8 arrays of the size that a model takes."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from realnvp_jax.data.limits import DECODED, MOST_PICTURE_BYTES, MOST_PIXELS
from realnvp_jax.text import shorten

CROPS = ("none", "centre", "random")
RESAMPLINGS = ("antialias", "interpolate")
_STRIP = 256  # rows
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


class BadPictureError(ValueError):
    """A picture that cannot be used; the message says why."""


@dataclasses.dataclass(frozen=True)
class Framing:
    """How every picture is cropped, resized, and reduced to fewer levels.

    Attributes:
      shape: (height, width, channels) that the model takes. With a crop, all pictures are converted to greyscale for
        one channel or to RGB for three; without a crop, only pictures that are not greyscale, RGB or RGBA are.
      crop: "none": pictures already have this shape; "centre": the largest centred part with this aspect ratio is
        resized to it; "random": that part is resized to a height of `resize`, and every step draws a crop of this
        shape from it; or rows and columns, such as "40:188,15:163", which are resized to this shape.
      resize: height before random crops; 0 otherwise.
      resample: "antialias" (bicubic, over all the pixels that a new one covers) or "interpolate" (bilinear between
        the four neighbours of row i * height / new height, which is `tf.image.resize_bilinear` of TensorFlow 1).
      num_bits: keep this many of the 8 bits, floor(x / 2^(8 - num_bits)); 0 leaves pixels as they are.

    Raises:
      ValueError: a value is out of range, or the values contradict each other.
    """

    shape: tuple[int, int, int]
    crop: str = "none"
    resize: int = 0
    resample: str = "antialias"
    num_bits: int = 0

    def __post_init__(self):
        if min(self.shape) < 1:
            raise ValueError(f"expected images of at least 1x1 pixels and one channel; got shape {self.shape}")
        if self.crop not in CROPS and _box(self.crop) is None:
            raise ValueError(
                f"expected dataset.crop, one of {CROPS} or rows and columns such as '40:188,15:163'; "
                f"got {shorten(self.crop)}"
            )
        if self.resample not in RESAMPLINGS:
            raise ValueError(f"expected dataset.resample, one of {RESAMPLINGS}; got {shorten(self.resample)}")
        if not 0 <= self.num_bits <= 8:
            raise ValueError(f"expected dataset.num_bits from 1 to 8, or 0 to leave pixels; got {self.num_bits}")
        if self.crop != "none" and self.shape[2] not in (1, 3):
            raise ValueError(f"expected 1 or 3 channels with dataset.crop={self.crop!r}; got {self.shape[2]}")
        if self.crop == "random" and self.resize < self.shape[0]:
            raise ValueError(
                f"expected dataset.resize of at least the height {self.shape[0]} of random crops; got {self.resize}"
            )
        if self.crop != "random" and self.resize:
            raise ValueError(f"expected dataset.resize of 0 unless dataset.crop is 'random'; got {self.resize}")

    @property
    def framed_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of what `frame` returns; larger than `shape` if crops are drawn from it."""
        height, width, channels = self.shape
        if self.crop != "random":
            return self.shape
        return (self.resize, max(width, round(self.resize * width / height)), channels)

    def decode(self, encoded: bytes, *, upright: bool = False) -> UInt8[np.ndarray, "height width channels"]:
        """Decode the bytes of an image file to pixels.

        All threads together decode 2^26 pixels at a time, so that the memory that they take does not depend on their
        number.

        Args:
          encoded: the bytes.
          upright: rotate the picture according to its EXIF orientation.

        Raises:
          BadPictureError: not a picture, damaged, more than 8 bits per channel, or smaller than the crop; more than
            2^26 pixels, or 256 MiB.
        """
        if len(encoded) > MOST_PICTURE_BYTES:
            raise too_large(len(encoded))
        with _decoding():
            image = Image.open(io.BytesIO(encoded), formats=_FORMATS)
            _check_size(image)
            _check_bits(image, encoded)
        with DECODED.take(image.width * image.height):
            with _decoding():
                image.load()
                if upright:
                    ImageOps.exif_transpose(image, in_place=True)
                if self.crop != "none" or image.mode not in ("L", "RGB", "RGBA"):
                    image = _converted(image, self.shape[2])
                pixels = _array(image)
            del image
            return self.frame(pixels)

    def frame(self, x: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "height width channels"]:
        """Crop and resize decoded pixels.

        Raises:
          BadPictureError: the picture is smaller than the crop, or there is no crop and it has another shape.
        """
        if self.crop == "none":
            if x.shape != self.shape:
                hint = ": dataset.crop='centre' converts colours" if x.shape[:2] == self.shape[:2] else ""
                raise BadPictureError(f"expected shape {self.shape}, model.event_shape; got {x.shape}{hint}")
        else:
            x = self._resized(self._part(self._coloured(x)))
        return x >> (8 - self.num_bits) if self.num_bits else x

    def _coloured(self, x: np.ndarray) -> np.ndarray:
        channels = x.shape[2]
        if channels == self.shape[2]:
            return x
        if channels not in (1, 3, 4):
            raise BadPictureError(f"{channels} channels, which cannot be converted to {self.shape[2]}")
        return _array(_converted(_image(x), self.shape[2]))

    def _part(self, x: np.ndarray) -> np.ndarray:
        height, width = x.shape[:2]
        to_height, to_width = self.framed_shape[:2]
        box = _box(self.crop)
        if box is not None:
            top, bottom, left, right = box
            if bottom > height or right > width:
                raise BadPictureError(f"{width}x{height} pixels do not contain rows and columns {self.crop}")
            return x[top:bottom, left:right]
        if height < to_height or width < to_width:
            raise BadPictureError(f"{width}x{height} pixels, smaller than {to_width}x{to_height}")
        part_height = min(height, width * to_height // to_width)
        part_width = min(width, height * to_width // to_height)
        top, left = (height - part_height) // 2, (width - part_width) // 2
        return x[top : top + part_height, left : left + part_width]

    def _resized(self, x: np.ndarray) -> np.ndarray:
        height, width = self.framed_shape[:2]
        if x.shape[:2] == (height, width):
            return x
        if self.resample == "interpolate":
            return np.rint(_interpolate(_interpolate(x.astype(np.float32), height, 0), width, 1)).astype(np.uint8)
        return _array(_image(x).resize((width, height), Image.Resampling.BICUBIC))


@dataclasses.dataclass(frozen=True)
class NoFraming(Framing):
    """Leaves pictures unchanged, to find out their sizes."""

    def frame(self, x: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w c"]:
        """The pixels."""
        return x


def too_large(num_bytes: int) -> BadPictureError:
    """The error to raise for a picture of more bytes than are read."""
    return BadPictureError(f"{num_bytes / 2**20:,.0f} MiB, more than the {MOST_PICTURE_BYTES >> 20} MiB that are read")


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Turn whatever a decoder raises into BadPictureError: a damaged picture can fail anywhere, with any error."""
    try:
        yield
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError("not a picture") from None
    except Image.DecompressionBombError:
        raise BadPictureError(f"more than {MOST_PIXELS:,} pixels: scale it down") from None
    except Exception as error:
        raise BadPictureError(" ".join(str(error).split())[:80] or type(error).__name__) from None


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise BadPictureError(f"{image.width}x{image.height}, more than {MOST_PIXELS:,} pixels: scale it down")


def _box(crop: str) -> tuple[int, int, int, int] | None:
    """(top, bottom, left, right) of "40:188,15:163"; None if the text is not of this form or the box is empty."""
    match = re.fullmatch(r"(\d+):(\d+),(\d+):(\d+)", crop)
    if match is None:
        return None
    top, bottom, left, right = map(int, match.groups())
    return (top, bottom, left, right) if top < bottom and left < right else None


def _interpolate(x: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear interpolation at i * old size / size along an axis, the last value repeated beyond the end."""
    places = np.arange(size) * (x.shape[axis] / size)
    low = np.floor(places).astype(int)
    weight = np.expand_dims((places - low).astype(np.float32), tuple(k for k in range(x.ndim) if k != axis))
    high = np.minimum(low + 1, x.shape[axis] - 1)
    return x.take(low, axis) * (1 - weight) + x.take(high, axis) * weight


def _check_bits(image: Image.Image, encoded: bytes) -> None:
    """Raise BadPictureError for more than 8 bits per channel, some of which Pillow would silently drop."""
    bits = 8
    if image.format == "PNG":
        bits = encoded[24]  # in the header, after signature, length, type, width and height
    elif image.format == "TIFF":
        bits = max(image.tag_v2.get(258, (8,)))  # pyright: ignore[reportAttributeAccessIssue]
    if bits > 8 or image.mode[0] in "IF":
        raise BadPictureError(f"{max(bits, 16)} bits per channel, which is not supported: convert it to 8 bits")


def _converted(image: Image.Image, channels: int) -> Image.Image:
    """Convert to greyscale for one channel, to RGB for three; transparent pixels become white."""
    image = _on_white(image) if image.has_transparency_data else image
    image = image.convert("RGB") if image.mode == "LAB" else image  # which Pillow converts to RGB only
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _on_white(image: Image.Image) -> Image.Image:
    """A picture with transparency on a white background, in RGB; strip by strip, which takes half of the memory."""
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, _STRIP):
        box = (0, top, image.width, min(top + _STRIP, image.height))
        strip = image.crop(box).convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        flat.paste(Image.alpha_composite(white, strip).convert("RGB"), box)
    return flat


def _image(x: np.ndarray) -> Image.Image:
    return Image.fromarray(x[..., 0] if x.shape[2] == 1 else x)


def _array(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels
