"""How unusual data are under a trained flow: scores to find anomalies and data of another kind with.

What likelihood cannot do: it does not tell by itself whether data come from the distribution of the training data.
Flows trained on CIFAR-10 give a higher likelihood to the images of SVHN than to those of CIFAR-10 (Nalisnick et al.,
2019, "Do deep generative models know what they don't know?"), and smooth or simple images, a uniform grey among them,
are often more likely than every training image. A density says how much probability there is around a point, not
whether the training data have such points, and it changes with the units of the data. Hence the two scores that correct
it: by the complexity of the image, and by the distance from typical values. Neither is reliable on every pair of data
sets: measure them with `aurocs` on data for which the answer is known.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from realnvp_jax.analysis.run import Run
from realnvp_jax.data.examples import Examples
from realnvp_jax.data.images.arrays import array_source
from realnvp_jax.data.images.baselines import file_bits
from realnvp_jax.data.images.folder import EXTENSIONS, folder_source
from realnvp_jax.data.images.framing import BadPictureError, Framing
from realnvp_jax.data.vectors.columns import match_columns, numbered
from realnvp_jax.data.vectors.table_files import read_rows
from realnvp_jax.models.create import context_columns
from realnvp_jax.preprocessing import check_pixels
from realnvp_jax.text import shorten
from realnvp_jax.training.evaluation import evaluate, evaluation_key
from realnvp_jax.training.parallel import parallel_eval_step, replicate
from realnvp_jax.training.steps import random_crop

_ARRAYS = (".npz", ".npy")


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of n examples under a flow, x_i being an example and r the reference, which are training examples.

    Attributes:
      log_prob: log p(x_i) in nats; of images that of the dequantized pixels, -bits/dim * D * log 2. Smaller means more
        anomalous, as far as likelihood tells.
      percentile: percent of the reference with a smaller log_prob: 0 is less likely than all of it, 100 more likely.
        Smaller means more anomalous; near 100 is suspicious as well (see the module).
      typicality: |mean over r of -log p(r) - (-log p(x_i))|, in nats per dimension of images, in nats of vectors: the
        distance of -log p from its mean, the estimate of the entropy. Larger means more anomalous. Nalisnick et al.
        (2019), "Detecting out-of-distribution inputs to deep generative models using typicality", for single examples.
      bits_per_dim: of images, otherwise None. Larger means more anomalous, as far as likelihood tells.
      complexity_corrected: bits/dim of an image less those of its file without loss, the smaller of PNG and WebP; None
        unless images have one or three channels. Larger means more anomalous. Serra et al. (2020), "Input complexity
        and out-of-distribution detection with likelihood-based generative models".
    """

    log_prob: Float[np.ndarray, " n"]
    percentile: Float[np.ndarray, " n"]
    typicality: Float[np.ndarray, " n"]
    bits_per_dim: Float[np.ndarray, " n"] | None = None
    complexity_corrected: Float[np.ndarray, " n"] | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Those scores that there are, by name, always in the same order."""
        order = ("log_prob", "bits_per_dim", "percentile", "complexity_corrected", "typicality")
        return {name: getattr(self, name) for name in order if getattr(self, name) is not None}


def score_examples(
    run: Run, examples: Examples, reference: Examples, *, seed: int | None = None, batch_size: int | None = None
) -> Scores:
    """Score examples under a run's flow, each by itself, in evaluation mode.

    The noise of an image, and its place where the run draws crops, depend on the seed and the image's number only.
    The files of `complexity_corrected` are made at the highest effort, which takes some milliseconds an image.

    Args:
      run: the run.
      examples: what is scored; of the model's shape, or of that of the run's data where it draws crops from them.
      reference: training examples, some thousand are enough.
      seed: of the noise and the crops; None for that of `evaluate`.
      batch_size: examples at a time; None for the run's `evaluate.batch_size`. It does not change the scores.

    Raises:
      TypeError: images are not integers, or vectors are.
      ValueError: there are no examples or no reference, shapes or levels are not those of the flow, batch_size is less
        than 1, or the reference has densities that are not finite.
    """
    flow = run.flow
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"expected a batch size of at least 1; got {batch_size}")
    for what, some in (("examples to score", examples), ("reference examples", reference)):
        _check(run, some, what)
    size = run.config.evaluate.batch_size if batch_size is None else batch_size
    key = evaluation_key() if seed is None else jax.random.key(seed)
    params = replicate(run.params)
    step = parallel_eval_step(flow)
    scores, of_reference = (
        evaluate(step, params, some, size, key, progress=True).astype(np.float64) for some in (examples, reference)
    )
    if not np.isfinite(of_reference).all():
        count = int((~np.isfinite(of_reference)).sum())
        raise ValueError(f"expected a finite density of the reference; got {count} of {len(reference)} that are not")
    nats = 1.0 if flow.levels is None else np.log(2)  # for one unit of a score
    typicality = np.abs(of_reference.mean() - scores) * nats
    if flow.levels is None:
        return Scores(scores, _percentile(scores, of_reference), typicality)
    corrected = None
    if flow.event_shape[2] in (1, 3):
        images = examples.x
        if images.shape[1:] != flow.event_shape:  # the crops that were evaluated
            images = np.asarray(random_crop(key, jnp.arange(len(images)), jnp.asarray(images), flow.event_shape))
        images = images.astype(np.uint8)
        corrected = scores - np.minimum(file_bits(images, "PNG"), file_bits(images, "WebP"))
    log_prob = -scores * flow.num_dims * nats
    return Scores(log_prob, _percentile(-scores, -of_reference), typicality, scores, corrected)


def _check(run: Run, examples: Examples, what: str) -> None:
    flow, shape = run.flow, examples.x.shape[1:]
    if len(examples) == 0:
        raise ValueError(f"expected {what}; got none")
    before_crops = _framing(run, False).framed_shape if len(flow.event_shape) == 3 else None
    if shape not in (flow.event_shape, before_crops):
        raise ValueError(f"expected {what} of shape {flow.event_shape}; got {shape}")
    if flow.levels is not None:
        check_pixels(examples.x, flow.levels)
    elif not np.issubdtype(examples.x.dtype, np.floating):
        raise TypeError(f"expected {what} of floating-point values; got {examples.x.dtype}")


def _percentile(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Percent of the reference that is smaller; NaN of NaN."""
    smaller = np.searchsorted(np.sort(reference), values, side="left")
    return np.where(np.isnan(values), np.nan, 100 * smaller / len(reference))


def aurocs(inside: Scores, outside: Scores) -> dict[str, float]:
    """How well each score tells data of another kind from data like the training data.

    The area under the ROC curve: the probability that a score takes an example of `outside` for more anomalous than one
    of `inside`, ties counting half. 1 is perfect, 0.5 is chance; below 0.5 the score takes data from outside for *more*
    normal than those from inside, as likelihood often does (see the module).

    Args:
      inside: scores of data like the training data, but not trained on: the test split.
      outside: scores of other data.

    Returns:
      "likelihood" (-log_prob; bits/dim and percentile order examples alike), "input complexity" (if both have it), and
      "typicality".

    Raises:
      ValueError: there are no scores, or some are NaN.
    """
    from sklearn.metrics import roc_auc_score

    anomalies = {"likelihood": (-inside.log_prob, -outside.log_prob)}
    if inside.complexity_corrected is not None and outside.complexity_corrected is not None:
        anomalies["input complexity"] = (inside.complexity_corrected, outside.complexity_corrected)
    anomalies["typicality"] = (inside.typicality, outside.typicality)
    areas = {}
    for name, parts in anomalies.items():
        for what, values in zip(("inside", "outside"), parts, strict=True):
            if len(values) == 0 or np.isnan(values).any():
                got = f"{int(np.isnan(values).sum())} that are NaN" if len(values) else "none"
                raise ValueError(f"expected scores of the data {what} that are numbers; got {got} of {len(values)}")
        ranks = np.unique(np.concatenate(parts), return_inverse=True)[1]  # infinite scores are in order, too
        is_outside = np.repeat([0, 1], [len(part) for part in parts])
        areas[name] = float(roc_auc_score(is_outside, ranks))
    return areas


def read_examples(
    run: Run, paths: Sequence[str], *, split: str = "all", resize: bool = False
) -> tuple[Examples, list[str]]:
    """Data to be scored under a run's flow, and a name for each: a file's path, or the number of a row, from 0.

    Images become what the run was trained on: they are cut and resized if its own were, and reduced to
    `dataset.num_bits` if these are set, so that they must be given with all their 8 bits. Otherwise they must have the
    model's shape, unless `resize`. A run of fewer levels without num_bits takes arrays only, as they are.

    Args:
      run: the run.
      paths: of images, pictures and folders of them (in the order of their names), or one .npz or .npy file of uint8
        images; of vectors, one .csv, .parquet or .npz file with the columns that the run was trained on and no others,
        by name and in any order, those of its dataset.context included. Where the columns of one of the two have no
        names, they are found by position, which is printed.
      split: of a folder, the name of one in it; of an .npz file of several arrays, the name of one. "all" otherwise.
      resize: cut out the largest centred part of the model's aspect ratio and resize it to the model's shape, whatever
        the run did, with its resample and num_bits; colours are converted.

    Raises:
      ValueError: there is nothing to read, or something is not as it is said above; a file is no picture.
    """
    if not paths:
        raise ValueError("expected files to score; got none")
    if "[" in split:
        raise ValueError(
            f"expected 'all', or the name of an array or a folder, as a split to score; got {shorten(split)}"
        )
    files = [Path(path).expanduser() for path in paths]
    if len(run.flow.event_shape) == 1:
        return _read_table(run, files, split, resize)
    if not any(file.suffix in _ARRAYS and not file.is_dir() for file in files):
        return _read_pictures(run, files, split, resize)
    if len(files) > 1:
        raise ValueError(f"expected pictures and folders, or one .npz or .npy file alone; got {len(files)} paths")
    return _read_array(run, files[0], split, resize)


class _OtherShapeError(BadPictureError):
    """An image that has not the model's shape, but that of the arguments."""


class _Framing(Framing):
    """The run's framing, which tells images of another shape from bad ones."""

    def frame(self, x: np.ndarray) -> np.ndarray:
        if self.crop == "none" and x.shape != self.shape:
            raise _OtherShapeError(*x.shape)
        return super().frame(x)


def _framing(run: Run, resize: bool) -> _Framing:
    height, width, channels = run.flow.event_shape
    dataset = run.config.dataset  # that of an older run has not all the keys
    resample, num_bits = dataset.get("resample", "antialias"), dataset.get("num_bits", 0)
    crop, from_height = ("centre", 0) if resize else (dataset.get("crop", "none"), dataset.get("resize", 0))
    return _Framing((height, width, channels), crop, from_height, resample, num_bits)


def _has_few_levels(run: Run) -> bool:
    """Whether the model has fewer levels than pictures, and nothing says how to reduce them."""
    return (run.flow.levels or 256) < 256 and not run.config.dataset.get("num_bits", 0)


def _refusal(run: Run, error: OSError | BadPictureError, what: str | Path) -> ValueError:
    name = shorten(what, 150)
    if not isinstance(error, _OtherShapeError):
        reason = (error.strerror or "not readable") if isinstance(error, OSError) else error
        return ValueError(f"expected images that can be used; got {name}: {reason}")
    (height, width, channels), shape = error.args, run.flow.event_shape
    got, how = f"{height}x{width} in {name}", "--resize crops the centre and resizes"
    if channels != shape[2]:
        got, how = f"{got} with {channels} channel(s) instead of {shape[2]}", f"{how}, and converts colours"
    if _has_few_levels(run):
        how = f"pixels of {run.flow.levels} levels cannot be resized"
    return ValueError(f"expected images of {shape[0]}x{shape[1]} pixels; got {got}: {how}")


def _read_pictures(run: Run, paths: list[Path], split: str, resize: bool) -> tuple[Examples, list[str]]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += [path / name for name in sorted(folder_source(str(path), split, 0).files or ())]
            continue
        if path.suffix.lower() not in EXTENSIONS or not path.is_file():
            what, problem = f"pictures ({', '.join(EXTENSIONS)}), folders, .npz or .npy", "which is none of these"
            problem = problem if path.exists() else "where there is no file"
            raise ValueError(f"expected {what}; got {shorten(path, 200)}, {problem}")
        if split != "all":
            raise ValueError(f"expected the split 'all' of files that are pictures; got {shorten(split)}")
        files.append(path)
    if _has_few_levels(run):
        raise ValueError(
            f"expected an .npz or .npy file of pixels in [0, {run.flow.levels}), the run's levels; "
            f"got {shorten(files[0], 150)}: pictures have 256 levels, and no dataset.num_bits says how to reduce them"
        )
    framing, images = _framing(run, resize), []
    for file in files:
        try:
            images.append(framing.decode(file.read_bytes(), upright=True))
        except (BadPictureError, OSError) as error:
            raise _refusal(run, error, file) from None
    return Examples(np.stack(images)), [str(file) for file in files]


def _read_array(run: Run, file: Path, split: str, resize: bool) -> tuple[Examples, list[str]]:
    source = array_source(str(file), split, 0)
    rows = np.arange(source.num)
    order = np.random.default_rng(0).permutation(source.num) if split == "all" else rows  # the source's
    framing = _framing(run, resize and not _has_few_levels(run))
    try:
        images = np.stack([source.read(framing, i) for i in np.argsort(order)])
    except BadPictureError as error:
        raise _refusal(run, error, source.title) from None
    if images.max() >= (levels := run.flow.levels or 256):
        raise ValueError(
            f"expected pixels in [0, {levels}), the run's levels, in {shorten(source.title, 150)}; "
            f"got values from {images.min()} to {images.max()}"
        )
    return Examples(images), [str(row) for row in rows]


def _read_table(run: Run, files: list[Path], split: str, resize: bool) -> tuple[Examples, list[str]]:
    if len(files) > 1 or split != "all" or resize:
        got = "--resize" if resize else f"the split {shorten(split)}" if split != "all" else f"{len(files)} paths"
        raise ValueError(f"expected one table, .csv, .parquet or .npz, for a flow of vectors; got {got}")
    table, context = read_rows(files[0]), context_columns(run.config)
    own, file = run.columns(), shorten(files[0].name)
    if own:
        places = dict(zip(own, _places(own, table.columns, file), strict=True))
    else:
        _check_number(run, table.columns, file)
        print(f"columns of {file} are taken in their order, for the run does not know their names", file=sys.stderr)
        places = {column: place for place, column in enumerate(table.columns)}
    modelled = [place for name, place in places.items() if name not in context]
    conditions = [places[name] for name in context]
    examples = Examples(table.values[:, modelled], table.values[:, conditions] if conditions else None)
    return examples, [str(row) for row in range(len(examples))]


def _places(own: Sequence[str], given: Sequence[str], file: str) -> list[int]:
    """Where a run's own columns are in a table that has no others."""
    places = match_columns(own, given)
    others = [column for column in given if column not in own]
    if places is None or len(places) != len(given):
        missing = [column for column in own if column not in given]
        got = " and ".join(
            f"{what} {shorten(', '.join(names), 60)}" for what, names in (("no", missing), ("also", others)) if names
        )
        raise ValueError(
            f"expected the run's columns {shorten(', '.join(own), 100)} in {file}, in any order; got {got}: "
            "rename columns, or leave them out"
        )
    if others or tuple(given) == numbered(len(given)):
        print(f"columns of {file} are taken in their order, for they or the run's have no names", file=sys.stderr)
    return places


def _check_number(run: Run, given: Sequence[str], file: str) -> None:
    """Raise ValueError unless a table has as many columns as a run, and those of its context."""
    context = context_columns(run.config)
    for name in context:
        if name not in given:
            known = shorten(", ".join(given), 150)
            raise ValueError(f"expected the run's dataset.context, {shorten(name)}, in {file}; got the columns {known}")
    num = len(given) - len(context)
    if num != run.flow.num_dims:
        columns = f"{run.flow.num_dims} columns{' besides those of dataset.context' if context else ''}"
        raise ValueError(f"expected {columns}, as in training, in {file}; got {num}")
