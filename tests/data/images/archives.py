"""Small copies of the original files of data sets."""

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import realnvp_jax
from realnvp_jax.data.images.framed import load_images
from tests.data.images.helpers import encoded, pixels
from tests.helpers import images_of


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


def load_named(name: str, tmp_path: Path, manual_dir: str = "") -> None:
    data = images_of(name, data_dir=str(tmp_path / "data"), manual_dir=manual_dir, cache_dir=str(tmp_path / "cache"))
    load_images(data, {"train": "train"}, realnvp_jax.image_flow((32, 32, 3), num_scales=1))
