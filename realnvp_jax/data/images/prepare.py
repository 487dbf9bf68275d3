"""Download and prepare a TFDS data set in array_record layout, without TensorFlow."""

import json
import os
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import requests

from realnvp_jax.data.dataset import dataset_names
from realnvp_jax.data.images.builders import archives, builder_class
from realnvp_jax.data.images.prepared import find_prepared, prepared_names
from realnvp_jax.registry import advice, listed
from realnvp_jax.text import shorten

_SECONDS = 2.0  # how long to wait for an answer from the host of the original files


def data_dir_or_default(data_dir: str) -> Path:
    """TFDS's data directory: the argument, or else the environment's TFDS_DATA_DIR, or else ~/tensorflow_datasets."""
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def find_or_prepare(name: str, data_dir: str = "", manual_dir: str = "") -> Path:
    """The directory of a prepared TFDS data set, which is first downloaded and prepared if necessary.

    Args:
      name: name of the data set, with its config if it has several, as in "downsampled_imagenet/32x32".
      data_dir: TFDS's data directory; see `data_dir_or_default`.
      manual_dir: where the original files are, if they were downloaded by hand; those of MNIST and Fashion-MNIST
        have the same names and can lie in subfolders mnist and fashion_mnist.

    Raises:
      ValueError: data_dir is the directory of the data set itself; TFDS does not know the data set, or TensorFlow is
        needed to prepare it; the original files are not in manual_dir and cannot be downloaded (which is known within
        5 seconds), or are not the right ones; data_dir cannot be written.
    """
    root = data_dir_or_default(data_dir)
    if not re.fullmatch(r"\w+(/\w[\w.+-]*)?", name):
        raise ValueError(f"expected dataset.name to be a name, or a name, a slash and a config; got {shorten(name)}")
    found = find_prepared(name, root)
    if found is not None:
        return found
    _refuse_own_directory(name, root)
    builder = _builder(name, root)
    files = archives(builder)
    manual = _manual_dir(name, manual_dir, files)
    needed = {file: url for file, url in files.items() if manual is None or not (manual / file).exists()}
    needed = {file: url for file, url in needed.items() if url not in _downloaded(root)}
    silent = next((url for url in _one_of_each_host(needed) if not _answers(url)), None)
    if silent is not None:
        got = f"no answer from {shorten(urllib.parse.urlsplit(silent).netloc, 40)}"
        raise ValueError(_where_to_put(name, root, manual_dir, needed, got))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(root / f".{builder.name}.lock"):  # a second process waits, then finds it prepared
            return find_prepared(name, root) or _prepare(builder, name, root, manual_dir, manual, needed or files)
    except OSError as error:
        raise _cannot_write(root, error) from None


def _refuse_own_directory(name: str, root: Path) -> None:
    """Refuse the directory of a prepared data set itself, instead of preparing the data set in it once more."""
    inner = Path(name.partition("/")[0])
    for outer in list(root.parents)[:3]:
        if root.is_relative_to(outer / inner) and find_prepared(name, outer) is not None:
            raise ValueError(
                f"expected the directory that contains {str(inner)!r} as dataset.data_dir; "
                f"got {shorten(root, 150)}: use {shorten(outer, 150)}"
            )


def _builder(name: str, root: Path) -> Any:
    """The builder of a data set; names that TFDS does not know get a helpful error."""
    import tensorflow_datasets as tfds

    short, _, config = name.partition("/")
    try:
        configs = [c.name for c in tfds.builder_cls(short).BUILDER_CONFIGS]
    except tfds.core.registered.DatasetNotFoundError:  # pyright: ignore[reportAttributeAccessIssue]
        known = tfds.list_builders(with_community_datasets=False)
        here = prepared_names(root)
        others = dataset_names(of_images=True)
        prepared = f"prepared in {shorten(root, 60)}: {shorten(', '.join(here) or 'none', 50)}"
        raise ValueError(
            f"expected dataset.name to be one of {listed(others, 80)}, or a data set of TFDS ({prepared}); "
            f"got {shorten(name, 40)}: {advice(name, [*others, *here, *known])}"
        ) from None
    options: dict[str, Any] = {"data_dir": root, "file_format": "array_record"}
    if config:
        options["config"] = config
    if (config not in configs) if configs else config:
        choice = f"{short!r}, a slash and one of {shorten(', '.join(configs), 100)}" if configs else repr(short)
        raise ValueError(f"expected {choice} as dataset.name; got {shorten(name)}")
    try:
        return builder_class(short)(**options)
    except OSError as error:
        raise _cannot_write(root, error) from None


def _manual_dir(name: str, manual_dir: str, files: Mapping[str, str]) -> Path | None:
    """The directory of the original files: a folder with the data set's name in manual_dir, or manual_dir itself."""
    if not manual_dir:
        return None
    root = Path(manual_dir).expanduser()
    if not root.is_dir():
        raise ValueError(
            f"expected a directory with {shorten(', '.join(files), 120)} in dataset.manual_dir; "
            f"got {shorten(root, 150)}, which is not a directory"
        )
    own = root / name.partition("/")[0]
    return own if own.is_dir() else root


def _downloaded(root: Path) -> set[str]:
    """Addresses of the files that TFDS has already downloaded."""
    urls: set[str] = set()
    for info in (root / "downloads").rglob("*.INFO.json"):
        if info.with_name(info.name.removesuffix(".INFO.json")).exists():
            urls.update(json.loads(info.read_text(encoding="utf-8")).get("urls", ()))
    return urls


def _one_of_each_host(files: Mapping[str, str]) -> list[str]:
    return list({urllib.parse.urlsplit(url).netloc: url for url in files.values()}.values())


def _answers(url: str) -> bool:
    """Whether the host of an address gives any answer within a few seconds."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_SECONDS):
                answers.append(True)
        except urllib.error.HTTPError:  # an error is an answer, too: the host may refuse HEAD
            answers.append(True)
        except OSError:
            pass

    thread = threading.Thread(target=ask, daemon=True)  # looking up a host name has no timeout of its own
    thread.start()
    thread.join(_SECONDS)
    return bool(answers)


def _where_to_put(name: str, root: Path, manual_dir: str, needed: Mapping[str, str], got: str) -> str:
    where = f"{shorten(manual_dir, 40)}, dataset.manual_dir" if manual_dir else "a directory and set dataset.manual_dir"
    return (
        f"expected {name!r} prepared under {shorten(root, 40)}, dataset.data_dir, or its original files; "
        f"got neither, and {got}: put {', '.join(needed)} into {where}"
    )


def _prepare(
    builder: Any, name: str, root: Path, manual_dir: str, manual: Path | None, files: Mapping[str, str]
) -> Path:
    import tensorflow_datasets as tfds

    print(f"preparing {name} in {root}", flush=True)
    config = tfds.download.DownloadConfig(manual_dir=manual, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except (requests.RequestException, tfds.download.DownloadError) as error:
        raise ValueError(_where_to_put(name, root, manual_dir, files, shorten(error, 60))) from None
    except OSError:
        raise
    except Exception as error:  # of many kinds: a wrong checksum, a truncated archive
        if isinstance(error, ValueError) and str(error).startswith("expected"):
            raise
        if "No module named 'tensorflow" in str(error):
            raise ValueError(
                f"expected a data set that can be prepared without TensorFlow; got {name!r}: prepare it where "
                f"TensorFlow is installed, with file_format='array_record', and copy it to {shorten(root, 150)}"
            ) from None
        raise ValueError(
            f"expected the original files of {name!r}, {shorten(', '.join(files), 80)}, as TFDS knows them; "
            f"got {type(error).__name__}: {shorten(error, 150)}"
        ) from None
    return Path(builder.data_dir)


def _cannot_write(root: Path, error: OSError) -> ValueError:
    return ValueError(
        f"expected to prepare data in {shorten(root, 150)}; got {shorten(error.strerror or error, 100)}: "
        "set dataset.data_dir to a writable directory"
    )
