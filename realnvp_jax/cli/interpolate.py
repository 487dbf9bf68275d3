"""`realnvp interpolate`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from realnvp_jax.cli import common

_KINDS = ("linear", "spherical", "manifold", "scales")

_HELP = """Interpolate between two or four examples in latent space, and resample fine latents.

The examples are the first ones in FILES (images or a table), or --seed chooses them from a split or from samples.

\b
linear     straight lines between the latents
spherical  great circles between the latents
manifold   equation 19 of the paper, through four latents
scales     each example with the latents of its coarse scales kept and those of
           its s finest scales drawn again, three times for each s = 1, 2, ...

Images are written as one PNG file for each kind, in which the given images are framed; vectors as one CSV file for each
kind, with their positions in the columns row and place (followed by an underscore if the run has columns of that name).
"""


@click.command(help=_HELP)
@click.argument("files", nargs=-1)
@common.run_options
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    help="Kind of interpolation; may be repeated. [default: all that apply]",
)
@click.option(
    "--points",
    type=click.Choice(["2", "4"]),
    default="4",
    show_default=True,
    help="Number of examples to interpolate between.",
)
@click.option(
    "--from", "source", default="test", show_default=True, help="Split to take the examples from, or samples."
)
@click.option(
    "-n", "--num", type=click.IntRange(min=2), default=8, show_default=True, help="Number of points along a side."
)
@click.option("--resize", is_flag=True, help="Crop the centre of images of another size, and resize it.")
@common.seed_option
@common.output_option("Output directory. [default: interpolate in the folder analysis of the workdir]")
@common.overwrite_option
@common.in_one_sentence
def main(
    files: tuple[str, ...],
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    kinds: tuple[str, ...],
    points: str,
    source: str,
    num: int,
    resize: bool,
    seed: int,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Interpolate between two or four examples in latent space, and resample fine latents."""
    from realnvp_jax.models.multiscale import MultiScale

    count = int(points)
    directory = common.free_path(output, workdir, "interpolate", overwrite)
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    has_scales = isinstance(run.flow.bijection, MultiScale) and run.flow.bijection.num_scales > 1
    if resize and not files:
        raise ValueError("expected FILES to resize with --resize; got none")
    possible = [k for k in _KINDS if (k != "manifold" or count == 4) and (k != "scales" or has_scales)]
    for kind in kinds:
        if kind not in possible:
            needs = "--points 4" if kind == "manifold" else "a flow of images with two scales or more"
            raise ValueError(f"expected {needs} for --kind {kind}; got a run and options of {', '.join(possible)} only")
    x = _examples(run, files, source, count, seed, resize)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in kinds or possible:
        values = _values(run, kind, x, num, seed)
        path = directory / (f"{kind}.png" if run.flow.levels is not None else f"{kind}.csv")
        _save(run, path, values, kind, are_real=bool(files) or source != "samples")
        written.append(path.name)
    common.write_note(directory, run, {"written": written})
    click.echo(f"{', '.join(written)}: {directory}")


def _examples(run: Any, files: tuple[str, ...], source: str, count: int, seed: int, resize: bool) -> np.ndarray:
    """The examples to interpolate between, [count, *event]."""
    from realnvp_jax.analysis.read import centred, read_examples
    from realnvp_jax.analysis.sampling import Clamping, sample_in_batches, to_pixels

    if run.flow.context_size:
        raise ValueError("expected an unconditional run to interpolate in; got a conditional one")
    if files:
        x = read_examples(run, files, resize=resize)[0].x
    elif source == "samples":
        x = np.concatenate(list(sample_in_batches(run.flow, run.params, count, seed=seed)))
        return x if run.flow.levels is None else to_pixels(run.flow, x, Clamping())
    else:
        split = run.split(source).x
        x = split[np.random.default_rng(seed).permutation(len(split))[:count]]
    if len(x) < count:
        raise ValueError(f"expected {count} examples to interpolate between; got {len(x)}")
    return centred(run, np.asarray(x[:count]))


def _values(run: Any, kind: str, x: np.ndarray, num: int, seed: int) -> np.ndarray:
    """[rows, columns, *event] in the data's units."""
    from realnvp_jax.analysis.latent_paths import interpolate, manifold
    from realnvp_jax.analysis.latent_scales import resample_scales
    from realnvp_jax.analysis.latents import to_latents
    from realnvp_jax.random import root_key

    flow, params = run.flow, run.params
    if kind == "scales":
        drawn = resample_scales(flow, params, root_key(seed), x, 3)  # [n, scales, 3, *event]; scale 0 keeps all
        rows = np.concatenate([drawn[:, :1, 0], drawn[:, 1:].reshape(len(x), -1, *flow.event_shape)], axis=1)
        return rows
    corners = to_latents(flow, params, x)
    if kind == "manifold":
        return manifold(flow, params, corners, num)
    values = interpolate(flow, params, corners, num, kind=kind)
    return values if len(x) == 4 else values[None]


def places_of_given(kind: str, rows: int, columns: int) -> list[int]:
    """Positions, counted row by row, of the given examples in a grid of images."""
    if kind == "scales":
        return [row * columns for row in range(rows)]
    if kind == "manifold":  # at the angles 0 and pi/2, if the number of angles is a multiple of 4
        quarters = (0, columns // 4) if columns % 4 == 0 else (0,)
        return [row * columns + column for row in quarters for column in quarters]
    return sorted({row * columns + column for row in (0, rows - 1) for column in (0, columns - 1)})


def _save(run: Any, path: Path, values: np.ndarray, kind: str, are_real: bool) -> None:
    """Write images as a picture with a grid, or vectors as a table with their positions."""
    rows, columns = values.shape[:2]
    if run.flow.levels is not None:
        from realnvp_jax.plots.images import save_image_grid

        pixels = np.asarray(run.flow.to_uint8(values.reshape(-1, *run.flow.event_shape)))
        title, framed = f"{run.title}; {kind}", []
        if are_real:
            title, framed = f"{title}; real images are framed", places_of_given(kind, rows, columns)
        save_image_grid(pixels, run.flow.levels, path, columns, title, framed)
        return
    from realnvp_jax.data.vectors.csv_tables import write_csv

    names = run.modelled_columns()
    flat = values.reshape(rows * columns, -1)
    place = np.indices((rows, columns)).reshape(2, -1)
    ours = (_distinct(name, names) for name in ("row", "place"))
    write_csv(path, [{**dict(zip(ours, place, strict=True)), **dict(zip(names, flat.T, strict=True))}])


def _distinct(name: str, names: Sequence[str]) -> str:
    """The name, followed by as many underscores as it takes to differ from all the others."""
    while name in names:
        name += "_"
    return name
