"""Read examples for a run's flow from files: pictures, folders of pictures, arrays of images, and tables."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.tables import read_table
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.arrays import array_source
from realnvp_jax.data.images.folder import EXTENSIONS, folder_source, read_picture
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.images.labels import one_hot, renumber
from realnvp_jax.data.images.source import Source
from realnvp_jax.models.create import class_names
from realnvp_jax.runs.decorations import warn
from realnvp_jax.text import shorten

_ARRAYS = (".npz", ".npy")


def read_examples(
    run: Run, paths: Sequence[str], *, split: str = "all", resize: bool = False, id_column: str = ""
) -> tuple[Examples, list[str]]:
    """Data to score under a run's flow, and a name for each example: a file's path, or a row number counted from 0.

    Images are prepared as the run's own images were: cropped and resized if the run crops, and reduced to
    `dataset.num_bits` if that is set (so they must be given with all their 8 bits). If the run does not crop, they must
    have the model's shape, unless `resize` is set. A run with fewer than 256 levels and no num_bits takes arrays only,
    and takes them as they are.

    Args:
      run: the run.
      paths: for images, pictures and folders of pictures (read in the order of their names), or one .npz or .npy file
        of uint8 images; for vectors, one table as `analysis.tables.read_table` takes it. Images for a run conditional
        on labels need labels: pictures in folders of classes, or an array of labels in the .npz file.
      split: the name of a subfolder of a folder, or of an array in an .npz file with several; otherwise "all".
      resize: whatever the run did, crop the largest centred part with the model's aspect ratio and resize it to the
        model's shape, with the run's resample and num_bits; colours are converted.
      id_column: the column of a table whose values name the rows; "" to name rows by their numbers.

    Raises:
      ValueError: there is nothing to read, an argument or a file is not as described above, or a file is not a picture.
        Files of a folder that cannot be used are left out, with a warning for each.
    """
    if not paths:
        raise ValueError("expected files to score; got none")
    if "[" in split:
        raise ValueError(
            f"expected 'all', or the name of an array or a folder, as a split to score; got {shorten(split)}"
        )
    files = [Path(path).expanduser() for path in paths]
    if len(run.flow.event_shape) == 1:
        if len(files) > 1 or split != "all" or resize:
            got = "--resize" if resize else f"the split {shorten(split)}" if split != "all" else f"{len(files)} paths"
            raise ValueError(
                f"expected one table, .csv, .tsv, .txt, .parquet or .npz, for a flow of vectors; got {got}"
            )
        return read_table(run, files[0], id_column)
    if id_column:
        raise ValueError(f"expected --id only with a table, for a flow of vectors; got {shorten(id_column)} for images")
    if not any(file.suffix in _ARRAYS and not file.is_dir() for file in files):
        return _read_pictures(run, files, split, resize)
    if len(files) > 1:
        raise ValueError(f"expected pictures and folders, or one .npz or .npy file alone; got {len(files)} paths")
    return _read_array(run, files[0], split, resize)


def centred(run: Run, x: np.ndarray) -> np.ndarray:
    """The centres of images [n, height, width, channels], if the run draws random crops from larger ones."""
    shape = run.flow.event_shape
    if len(shape) != 3 or x.shape[1:] == shape:
        return x
    top, left = ((have - want) // 2 for have, want in zip(x.shape[1:3], shape, strict=False))
    return x[:, top : top + shape[0], left : left + shape[1]]


class _OtherShapeError(BadPictureError):
    """An image without the model's shape; the arguments are the shape that it has."""


class _RunFraming(Framing):
    """The run's framing, with a separate error for images of another shape."""

    def frame(self, x: np.ndarray) -> np.ndarray:
        if self.crop == "none" and x.shape != self.shape:
            raise _OtherShapeError(*x.shape)
        return super().frame(x)


def framing_of(run: Run, resize: bool = False) -> Framing:
    """How pictures become the images that a run was trained on.

    Args:
      run: a run on images.
      resize: crop the centre and resize it instead, whatever the run did.
    """
    height, width, channels = run.flow.event_shape
    dataset = run.config.dataset  # configs of older runs lack some keys
    resample, num_bits = dataset.get("resample", "antialias"), dataset.get("num_bits", 0)
    crop, from_height = ("centre", 0) if resize else (dataset.get("crop", "none"), dataset.get("resize", 0))
    return _RunFraming((height, width, channels), crop, from_height, resample, num_bits)


def _has_few_levels(run: Run) -> bool:
    """Whether the model has fewer levels than pictures have, and no key says how to reduce them."""
    return (run.flow.levels or 256) < 256 and not run.config.dataset.get("num_bits", 0)


def _refusal(run: Run, error: OSError | BadPictureError, what: str | Path) -> ValueError:
    name = shorten(what, 150)
    if not isinstance(error, _OtherShapeError):
        reason = (error.strerror or "not readable") if isinstance(error, OSError) else error
        return ValueError(f"expected usable images; got {name}: {reason}")
    (height, width, channels), shape = error.args, run.flow.event_shape
    got, how = f"{height}x{width} in {name}", "--resize crops the centre and resizes"
    if channels != shape[2]:
        got, how = f"{got} with {channels} channel(s) instead of {shape[2]}", f"{how}, and converts colours"
    if _has_few_levels(run):
        how = f"pixels of {run.flow.levels} levels cannot be resized"
    return ValueError(f"expected images of {shape[0]}x{shape[1]} pixels; got {got}: {how}")


def _read_pictures(run: Run, paths: list[Path], split: str, resize: bool) -> tuple[Examples, list[str]]:
    files: list[Path] = []
    classes: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            source = folder_source(str(path), split, 0)
            names = source.files or ()
            files += [path / name for name in sorted(names)]
            classes |= {path / name: label for name, label in zip(names, _classes(source), strict=True)}
            continue
        if path.suffix.lower() not in EXTENSIONS or not path.is_file():
            what, problem = f"pictures ({', '.join(EXTENSIONS)}), folders, .npz or .npy", "which is none of these"
            problem = problem if path.exists() else "where there is no file"
            raise ValueError(f"expected {what}; got {shorten(path, 200)}, {problem}")
        if split != "all":
            raise ValueError(f"expected the split 'all' for single pictures; got {shorten(split)}")
        files.append(path)
    if _has_few_levels(run):
        raise ValueError(
            f"expected an .npz or .npy file of pixels in [0, {run.flow.levels}), the run's levels; "
            f"got {shorten(files[0], 150)}: pictures have 256 levels, and no dataset.num_bits says how to reduce them"
        )
    framing, images, used = framing_of(run, resize), [], []
    for file in files:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow warns of doubtful metadata and large pictures
                images.append(read_picture(file, framing))
            used.append(file)
        except (BadPictureError, OSError) as error:
            refusal = _refusal(run, error, file)
            if isinstance(error, _OtherShapeError) or file in paths:  # a folder may have files that cannot be used
                raise refusal from None
            warn(f"left out {str(refusal).partition('; got ')[2]}")
    if not images:
        raise ValueError(f"expected usable images; got none in {shorten(paths[0], 150)}")
    labels = [classes.get(file, "") for file in used]
    return Examples(np.stack(images), _contexts(run, labels, str(paths[0]))), [str(file) for file in used]


def _read_array(run: Run, file: Path, split: str, resize: bool) -> tuple[Examples, list[str]]:
    source = array_source(str(file), split, 0)
    rows = np.arange(source.num)
    order = np.random.default_rng(0).permutation(source.num) if split == "all" else rows  # the source's
    framing = framing_of(run, resize and not _has_few_levels(run))
    try:
        places = np.argsort(order)
        images = np.stack([source.read(framing, i) for i in places])
    except BadPictureError as error:
        raise _refusal(run, error, source.title) from None
    if images.max() >= (levels := run.flow.levels or 256):
        raise ValueError(
            f"expected pixels in [0, {levels}), the run's levels, in {shorten(source.title, 150)}; "
            f"got values from {images.min()} to {images.max()}"
        )
    classes = _classes(source)
    labels = [classes[i] for i in places]
    return Examples(images, _contexts(run, labels, source.title)), [str(row) for row in rows]


def _classes(source: Source) -> list[str]:
    """The name of each image's class; "" without a label."""
    if isinstance(source.labels, str):
        return [""] * source.num
    numbers = [source.labels.number(i) for i in range(source.num)]
    return [source.labels.classes[number] if number >= 0 else "" for number in numbers]


def _contexts(run: Run, labels: Sequence[str], title: str) -> Float32[np.ndarray, "n K"] | None:
    """The classes of images as what the run's density is conditioned on; None for an unconditional run."""
    if not run.flow.context_size:
        return None
    num_missing = sum(not label for label in labels)
    if num_missing:
        raise ValueError(
            f"expected labels of the images in {shorten(title, 150)}, for a run conditional on them; got {num_missing} "
            "images without: give a folder with a subfolder for each class, or an .npz file with labels"
        )
    own, numbers = np.unique(np.array(labels, object), return_inverse=True)
    return one_hot(renumber(numbers, own.tolist(), class_names(run.config), title), run.flow.context_size)
