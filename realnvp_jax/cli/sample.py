"""`realnvp sample`."""

import difflib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from realnvp_jax.cli import common

_MOST_IN_A_GRID = 1024


@click.command()
@common.run_options
@click.option(
    "-n",
    "--num",
    type=click.IntRange(min=1),
    help="Number of samples (the least number if there are several classes). [default: 64, or the rows of --context]",
)
@click.option("--temperature", default=1.0, show_default=True, help="Factor on the base's standard deviation.")
@click.option(
    "--label", default="", help="For class-conditional runs: a class, or several separated by commas. [default: all]"
)
@click.option(
    "--context",
    default="",
    help="For conditional flows: columns such as temp=0.5,city=Bern, bare numbers, or a table file with rows.",
)
@common.seed_option
@common.batch_size_option
@common.output_option(
    "A .png file (a grid of images; or vectors, beside data unless --context is given), .npz or .csv (vectors), or a "
    "directory for single images. [default: sample.png in the folder analysis of the workdir]"
)
@common.overwrite_option
@common.in_one_sentence
def main(
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    num: int | None,
    temperature: float,
    label: str,
    context: str,
    seed: int,
    batch_size: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Draw any number of samples, in bounded memory.

    Sample number i depends only on the seed and on i. Images are floored to pixels and clamped to their range; the
    command prints what share of the values had to be clamped, and what share was not finite. Columns of a table that
    the run dequantizes are rounded to the values that they can take, and a CSV file has the columns of the context as
    well. Samples of several classes come one class after the other, and a grid of them has one class per row.
    """
    from realnvp_jax.analysis.sampling import Clamping, sample_in_batches, to_pixels
    from realnvp_jax.analysis.tables import rounded
    from realnvp_jax.data.images.labels import grid_columns, one_hot
    from realnvp_jax.text import shorten

    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    flow, clamping = run.flow, Clamping()
    kinds = (".png", ".npz", "") if flow.levels is not None else (".png", ".npz", ".csv")
    path = common.free_path(output, workdir, "sample.png", overwrite, kinds)
    contexts, classes = _contexts(context, run), _classes(label, context, run)
    columns = 1
    if classes:
        contexts = one_hot(np.array(list(classes.values())), flow.context_size)
        columns = grid_columns(len(classes), num or 64, least=1 if num else 4)
        num = columns * len(classes)
    if flow.context_size and contexts is None:
        raise ValueError(
            f"expected --context for a flow that is conditional on {shorten(run.config.dataset.context)}, as "
            "NAME=VALUE,... or a table; got none"
        )
    num = num or (64 if contexts is None or len(contexts) == 1 else len(contexts))
    if flow.levels is not None and path.suffix == ".png" and num > _MOST_IN_A_GRID:
        raise ValueError(f"expected at most {_MOST_IN_A_GRID} images in a grid; got {num}: --output samples.npz")
    batches: Iterable[np.ndarray] = sample_in_batches(
        flow,
        run.params,
        num,
        seed=seed,
        temperature=temperature,
        context=contexts,
        repeat=columns,
        batch_size=batch_size or run.config.evaluate.batch_size,
    )
    if flow.levels is not None:
        batches = (to_pixels(flow, batch, clamping) for batch in batches)
    else:
        batches = (rounded(run, _counted(batch, clamping)) for batch in batches)
    path.parent.mkdir(parents=True, exist_ok=True)
    title = (
        run.title + (f"; {context}" if context else "") + (f"; temperature {temperature:g}" if temperature != 1 else "")
    )
    if path.suffix == ".csv":
        _write_csv(path, run, batches, contexts)
    else:
        _write(path, run, num, batches, columns if len(classes) > 1 else None, title, is_like_data=not context)
    values: dict[str, Any] = {
        "num": num,
        **({"classes": list(classes)} if classes else {}),
        "non_finite": clamping.non_finite / clamping.values,
    }
    clamped = ""
    if flow.levels is not None:
        values["clamped"] = clamping.clamped / clamping.values
        clamped = f"clamped {values['clamped']:.3%} of the values, "
    click.echo(f"{clamped}{values['non_finite']:.3%} were not finite")
    common.write_note(path, run, values)
    if classes:
        what = "rows, from the top" if path.suffix == ".png" else f"classes, {columns} samples of each in this order"
        what = what if len(classes) > 1 else "class"
        click.echo(f"{what}: {', '.join(map(shorten, classes))}")
    click.echo(f"{num} samples: {path}")


def _classes(label: str, context: str, run: Any) -> dict[str, int]:
    """Names and numbers of the classes to sample, in order; {} for a run without classes, or with --context."""
    from realnvp_jax.data.images.labels import find_classes
    from realnvp_jax.models.create import class_names

    names = class_names(run.config)
    if label and context:
        raise ValueError("expected --label or --context; got both: leave one out")
    if label and not names:
        raise ValueError(
            f"expected a run conditional on labels, dataset.context='label', for --label; "
            f"got dataset.context={run.config.dataset.context!r}: leave --label out"
        )
    if context:
        return {}
    numbers = find_classes(label, names) if label else range(len(names))
    return {names[i]: i for i in numbers}


def _contexts(text: str, run: Any) -> np.ndarray | None:
    """The rows that the samples are conditioned on."""
    from realnvp_jax.analysis.tables import context_values, read_contexts
    from realnvp_jax.data.vectors.table_files import EXTENSIONS
    from realnvp_jax.models.create import is_class_conditional
    from realnvp_jax.text import shorten

    if not text:
        return None
    columns = {} if is_class_conditional(run.config) else context_values(run)
    if Path(text).suffix.lower() not in EXTENSIONS:
        return np.array([_named_values(text, columns) if "=" in text else _numbers(text)], np.float32)
    if not columns:
        raise ValueError(
            f"expected a run that is conditioned on columns for {shorten(text, 150)}; got none: use --label, or numbers"
        )
    contexts, others = read_contexts(run, Path(text).expanduser())
    if others:
        shown = shorten(", ".join(others), 200)[1:-1]
        click.echo(
            f"not used, as they are not in dataset.context: the columns {shown} of {Path(text).name!r}", err=True
        )
    return contexts


def _numbers(text: str) -> list[float]:
    """Parse numbers such as 0.5,-1."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(
            f"expected numbers separated by commas in --context, or a table with rows; got {text!r}"
        ) from None


def _named_values(text: str, columns: Mapping[str, Sequence[str]]) -> list[float]:
    """Parse values such as temp=0.5,city=Bern into the order of the run's columns, with one-hot categories."""
    from realnvp_jax.text import shorten, split_names

    known = shorten(", ".join(columns) or "none", 100)
    values: dict[str, list[float]] = {}
    for part in split_names(text):
        name, separator, value = (piece.strip() for piece in part.rpartition("="))
        if name not in columns or name in values:
            near = difflib.get_close_matches(name, columns, n=1)
            hint = f": did you mean {shorten(near[0])}?" if near and near[0] != name else ""
            got = f"{shorten(name)} twice" if name in values else shorten(name if separator else part)
            raise ValueError(
                f"expected the run's columns, {known}, each once as name=value in --context; got {got}{hint}"
            )
        categories = columns[name]
        if categories and value not in categories:
            near = difflib.get_close_matches(value, categories, n=1, cutoff=0)
            raise ValueError(
                f"expected a category of {shorten(name)}, one of {shorten(', '.join(categories), 150)}, in --context; "
                f"got {shorten(value)}: did you mean {shorten(near[0])}?"
            )
        try:
            values[name] = [float(category == value) for category in categories] or [float(value)]
        except ValueError:
            raise ValueError(f"expected a number for {shorten(name)} in --context; got {shorten(value)}") from None
    missing = [name for name in columns if name not in values]
    if missing:
        raise ValueError(
            f"expected a value for each of the run's columns, {known}, in --context; "
            f"got none for {shorten(', '.join(missing), 100)}: add {shorten(f'{missing[0]}=...')}"
        )
    return [number for name in columns for number in values[name]]


def _counted(batch: np.ndarray, clamping: Any) -> np.ndarray:
    """Return a batch of vectors as it is, and count its non-finite values."""
    clamping.values += batch.size
    clamping.non_finite += int((~np.isfinite(batch)).sum())
    return batch


def _write(
    path: Path,
    run: Any,
    num: int,
    batches: Iterable[np.ndarray],
    columns: int | None,
    title: str,
    is_like_data: bool,
) -> None:
    """Write the samples; a picture of vectors also shows data, if `is_like_data`."""
    flow = run.flow
    if path.suffix == ".npz":
        _write_npz(path, num, flow.event_shape, np.dtype(np.uint8 if flow.levels else np.float32), batches)
    elif path.suffix == ".png":
        from realnvp_jax.analysis.tables import rounded
        from realnvp_jax.plots import images, vectors

        samples = np.concatenate(list(batches))
        if flow.levels is not None:
            images.save_image_grid(samples, flow.levels, path, columns, title)
        else:
            data = rounded(run, run.split("test").x) if is_like_data else None
            vectors.save_points(data, samples, run.modelled_columns(), path, title)
    else:
        _write_pictures(path, flow.levels, batches)


def _write_csv(path: Path, run: Any, batches: Iterable[np.ndarray], contexts: np.ndarray | None) -> None:
    """Write vectors with the names of their columns, and what each was conditioned on."""
    from realnvp_jax.analysis.tables import context_cells, sample_columns
    from realnvp_jax.data.vectors.csv_tables import write_csv

    cells = {} if contexts is None else context_cells(run, contexts)

    def parts() -> Iterator[dict[str, np.ndarray]]:
        start = 0
        for batch in batches:
            rows = np.arange(start, start + len(batch))
            start += len(batch)
            yield sample_columns(run, batch, {name: values[rows % len(values)] for name, values in cells.items()})

    write_csv(path, parts())


def _write_npz(path: Path, num: int, shape: tuple[int, ...], dtype: np.dtype, batches: Iterable[np.ndarray]) -> None:
    """Write one array x [num, *shape], batch by batch."""
    temporary = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(temporary, "w") as archive, archive.open("x.npy", "w", force_zip64=True) as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": (num, *shape)}
            np.lib.format.write_array_header_2_0(file, header)
            for batch in batches:
                file.write(np.ascontiguousarray(batch, dtype).tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_pictures(path: Path, levels: int, batches: Iterable[np.ndarray]) -> None:
    from PIL import Image

    path.mkdir(exist_ok=True)
    for old in path.glob("[0-9][0-9][0-9][0-9][0-9][0-9].png"):
        old.unlink()
    for i, image in enumerate(_each(batches)):
        shades = np.round(image * (255 / (levels - 1))).astype(np.uint8)
        Image.fromarray(shades[..., 0] if shades.shape[2] == 1 else shades).save(path / f"{i:06d}.png")


def _each(batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for batch in batches:
        yield from batch
