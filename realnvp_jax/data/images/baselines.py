"""Bits per dimension of simple codes for images, to compare a flow's result with."""

import io
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

_CHUNK = 1000  # images at a time
_PRIOR = 0.1  # added to every count of a histogram

Images = UInt8[np.ndarray, "n height width channels"]


def histogram_bits(train: Images, test: Images, levels: int) -> Float[np.ndarray, " n"]:
    """Bits/dim of every test image under independent histograms of each pixel and channel of the training images.

    p(x_d = v) = (count of v at d + 0.1) / (n + 0.1 levels).

    Args:
      train: the images that are counted.
      test: the images that are coded.
      levels: number of values of a pixel.
    """
    num_dims = int(np.prod(train.shape[1:]))
    offsets = np.arange(num_dims) * levels
    counts = np.zeros(num_dims * levels)
    for start in range(0, len(train), _CHUNK):
        places = train[start : start + _CHUNK].reshape(-1, num_dims) + offsets
        counts += np.bincount(places.ravel(), minlength=num_dims * levels)
    bits = -np.log2((counts + _PRIOR) / (len(train) + levels * _PRIOR))
    coded = [
        bits[test[start : start + _CHUNK].reshape(-1, num_dims) + offsets].mean(1)
        for start in range(0, len(test), _CHUNK)
    ]
    return np.concatenate(coded)


def file_bits(images: Images, file_format: Literal["PNG", "WebP"]) -> Float[np.ndarray, " n"]:
    """Bits/dim of every image as a separate file: PNG, or lossless WebP, at the highest effort.

    Headers are counted: those of a PNG file, 57 bytes, are 0.15 bits/dim of a 32x32 image in RGB.
    """
    options = {"PNG": {"optimize": True}, "WebP": {"lossless": True, "quality": 100, "method": 6}}[file_format]
    sizes = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, format=file_format, **options)
        sizes.append(len(file.getvalue()))
    return 8 * np.array(sizes) / np.prod(images.shape[1:])
