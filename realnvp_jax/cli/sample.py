"""`realnvp sample`."""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from realnvp_jax.cli import common

_MOST_IN_A_GRID = 1024


@click.command()
@common.run_options
@click.option(
    "-n", "--num", type=click.IntRange(min=1), help="How many; 64, or one for each row of --context, if not set."
)
@click.option("--temperature", default=1.0, show_default=True, help="Factor on the base distribution's deviation.")
@click.option("--context", default="", help="For conditional flows: numbers such as 0.5,-1, or a table with rows.")
@common.seed_option
@common.batch_size_option
@common.output_option(
    "A .png file (a grid of images, or vectors beside data), .npz, .csv (vectors), or a directory for single "
    "images; sample.png in the folder analysis of the workdir if not set."
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
    context: str,
    seed: int,
    batch_size: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Draw samples, in bounded memory for any number.

    Sample number i depends on the seed and on i alone. Images are floored to pixels and clamped to their range; the
    share of values that had to be clamped, and of those that were not finite, is printed.
    """
    from realnvp_jax.analysis.sample import Clamping, sample_in_batches, to_pixels

    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    flow, clamping = run.flow, Clamping()
    kinds = (".png", ".npz", "") if flow.levels is not None else (".png", ".npz", ".csv")
    path = common.free_path(output, workdir, "sample.png", overwrite, kinds)
    contexts = _contexts(context, run)
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
        batch_size=batch_size or run.config.evaluate.batch_size,
    )
    if flow.levels is not None:
        batches = (to_pixels(flow, batch, clamping) for batch in batches)
    else:
        batches = (_counted(batch, clamping) for batch in batches)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, run, num, batches)
    values: dict[str, Any] = {"num": num, "non_finite": clamping.non_finite / clamping.values}
    clamped = ""
    if flow.levels is not None:
        values["clamped"] = clamping.clamped / clamping.values
        clamped = f"clamped {values['clamped']:.3%} of the values, "
    click.echo(f"{clamped}{values['non_finite']:.3%} were not finite")
    common.write_note(path, run, values)
    click.echo(f"{num} samples: {path}")


def _contexts(text: str, run: Any) -> np.ndarray | None:
    """The rows that samples are conditioned on."""
    from realnvp_jax.data.quote import quote
    from realnvp_jax.data.tables import EXTENSIONS, match_columns, read_rows
    from realnvp_jax.models.create import context_columns

    if not text:
        return None
    if Path(text).suffix.lower() not in EXTENSIONS:
        try:
            return np.array([[float(number) for number in text.split(",")]], np.float32)
        except ValueError:
            raise ValueError(
                f"expected numbers separated by commas in --context, or a {', '.join(EXTENSIONS)} file; got {text!r}"
            ) from None
    table, names = read_rows(text), context_columns(run.config)
    if not names:
        raise ValueError(f"expected no --context for a run that is not conditional; got {quote(text, 150)}")
    places, file = match_columns(names, table.columns), quote(Path(text).name)
    if places is None:
        missing = quote(", ".join(name for name in names if name not in table.columns), 100)
        raise ValueError(f"expected the columns {quote(', '.join(names), 100)} in {file}; got none called {missing}")
    others = [column for i, column in enumerate(table.columns) if i not in places]
    if others:
        click.echo(f"not used, as they are not in dataset.context: the columns {', '.join(others)} of {file}", err=True)
    return table.values[:, places]


def _counted(batch: np.ndarray, clamping: Any) -> np.ndarray:
    """A batch of vectors, its values that are not finite counted."""
    clamping.values += batch.size
    clamping.non_finite += int((~np.isfinite(batch)).sum())
    return batch


def _write(path: Path, run: Any, num: int, batches: Iterable[np.ndarray]) -> None:
    flow = run.flow
    if path.suffix == ".npz":
        _write_npz(path, num, flow.event_shape, np.dtype(np.uint8 if flow.levels else np.float32), batches)
    elif path.suffix == ".csv":
        from realnvp_jax.data.csv_tables import write_csv

        names = run.modelled_columns()
        write_csv(path, (dict(zip(names, batch.T, strict=True)) for batch in batches))
    elif path.suffix == ".png":
        from realnvp_jax import plots

        samples = np.concatenate(list(batches))
        if flow.levels is not None:
            plots.save_image_grid(samples, flow.levels, path)
        else:
            splits = run.splits()
            plots.save_points(splits.test.x, samples, splits.columns, path)
    else:
        _write_pictures(path, flow.levels, batches)


def _write_npz(path: Path, num: int, shape: tuple[int, ...], dtype: np.dtype, batches: Iterable[np.ndarray]) -> None:
    """One array x [num, *shape], written as it comes."""
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
