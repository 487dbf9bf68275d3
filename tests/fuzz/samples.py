"""Small intact data files of every kind that is read, for `tests.fuzz.data` to damage."""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

PICTURES = ("png", "jpg", "webp", "tif", "bmp")
TABLES = ("npz", "npy", "table.npz", "csv", "parquet")


def _photo(mode: str = "RGB", width: int = 40, height: int = 30) -> Image.Image:
    """Smooth shapes with some noise, which decoders treat like a photo."""
    rows, columns = np.mgrid[:height, :width]
    x = np.stack([127 + 90 * np.sin(rows / 5 + c) * np.cos(columns / (6 + c)) for c in range(3)], axis=-1)
    x += np.random.default_rng(0).normal(0, 8, x.shape)
    picture = Image.fromarray(np.clip(x, 0, 255).astype(np.uint8))
    if mode in ("RGBA", "LA"):
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture.convert(mode)


def _exif() -> Image.Exif:
    """Metadata of a camera, with an orientation, nested directories and numbers of all types."""
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x010F: "Maker", 0x0132: "2020:01:01 00:00:00", 0x011A: 72.0, 0x9286: b"ASCII\0\0\0note"})
    exif.get_ifd(0x8769).update({0x829A: 0.01, 0x8827: 100, 0x927C: bytes(range(64)), 0x9000: b"0230"})
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 57.0, 1.5), 29: "2020:01:01"})
    return exif


@functools.cache
def pictures(kind: str) -> tuple[bytes, ...]:
    """Encoded pictures of a format, in its colour spaces and compressions, with and without metadata."""
    exif, profile = _exif(), bytes(range(256)) * 2
    choices: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "png": [(mode, {}) for mode in ("RGB", "RGBA", "L", "LA", "1", "P")]
        + [("RGB", {"exif": exif, "icc_profile": profile}), ("P", {"transparency": 3, "bits": 4})],
        "jpg": [("RGB", {}), ("L", {}), ("CMYK", {}), ("RGB", {"progressive": True, "subsampling": 0})]
        + 3 * [("RGB", {"exif": exif, "icc_profile": profile, "comment": b"x" * 50})],
        "webp": [
            ("RGB", {}),
            ("RGBA", {"lossless": True}),
            ("RGBA", {"alpha_quality": 50}),
            ("RGB", {"exif": exif, "icc_profile": profile}),
        ],
        "tif": [("RGB", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
        + [("1", {"compression": "group4"}), ("L", {}), ("CMYK", {}), ("LAB", {}), ("P", {}), ("LA", {})]
        + [("RGB", {"exif": exif, "icc_profile": profile})],
        "bmp": [(mode, {}) for mode in ("RGB", "RGBA", "L", "P", "1")],
    }
    found = []
    for mode, options in choices[kind]:
        picture = Image.new("LAB", (40, 30), (90, 20, 30)) if mode == "LAB" else _photo(mode)
        file = io.BytesIO()
        picture.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(kind, kind.upper()), **options)
        found.append(file.getvalue())
    if kind == "webp":  # with several pictures
        file = io.BytesIO()
        _photo().save(file, "WEBP", save_all=True, append_images=[_photo("RGBA")])
        found.append(file.getvalue())
    return tuple(found)


def _frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(30, 3)), columns=["a", "b c", "é"])
    return frame.assign(n=np.arange(30) ** 2, city=["Bern", "Basel", "Chur"] * 10, flag=frame.a > 0)


def _saved(write: Any) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


@functools.cache
def tables(kind: str) -> tuple[bytes, ...]:
    """Files of images as arrays ("npz", "npy"), and of tables."""
    frame, rng = _frame(), np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    numbers = frame.drop(columns="city")
    if kind == "npz":
        return (
            _saved(lambda file: np.savez(file, x=images, y=np.arange(6) % 2)),
            _saved(lambda file: np.savez_compressed(file, train=images, test=images[:2], train_labels=np.arange(6))),
        )
    if kind == "npy":
        return (_saved(lambda file: np.save(file, images)), _saved(lambda file: np.save(file, images[..., 0])))
    if kind == "table.npz":
        structured = numbers.to_records(index=False)
        return (
            _saved(lambda file: np.savez(file, **{name: numbers[name].to_numpy() for name in numbers})),
            _saved(
                lambda file: np.savez_compressed(
                    file, x=numbers.to_numpy(float), columns=np.array(numbers.columns, str)
                )
            ),
            _saved(lambda file: np.savez(file, x=structured)),
        )
    if kind == "csv":
        options = ({}, {"sep": ";", "decimal": ","}, {"sep": "\t"}, {"quoting": 1}, {"lineterminator": "\r\n"})
        return tuple(frame.to_csv(index=False, **choice).encode() for choice in options)
    assert kind == "parquet"
    with_list = frame.assign(list=[[1, 2]] * 30, when=pd.date_range("2020", periods=30)).astype({"city": "category"})
    compressions = ("snappy", "gzip", "zstd", None)
    return (
        *(_saved(lambda file, name=name: frame.to_parquet(file, compression=name)) for name in compressions),
        _saved(lambda file: with_list.to_parquet(file)),
    )


def write_array_record(directory: Path) -> None:
    """A prepared TFDS data set of 12 labelled images in array_record layout."""
    import tensorflow_datasets as tfds

    class Damaged(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        """Nothing."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = directory

        def _info(self):
            features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=["a", "b"])}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for i in range(12):
                yield i, {"image": io.BytesIO(pictures("png")[0]), "label": i % 2}

    Damaged(data_dir=str(directory), file_format="array_record").download_and_prepare()
