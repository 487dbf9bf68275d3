"""`realnvp compress`."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import click

from realnvp_jax.cli import common
from realnvp_jax.text import shorten


@click.command()
@click.argument("files", nargs=-1)
@common.run_options
@click.option("--split", help="Part of the run's data or of FILES. [default: test, or all of FILES]")
@click.option("-n", "--num", type=click.IntRange(min=1), help="Number of images, the first ones. [default: all]")
@click.option("--batch-size", type=click.IntRange(min=1), help="Images that are coded together. [default: 32]")
@common.output_option("The compressed file. [default: compress.rnvp in the folder analysis of the workdir]")
@common.overwrite_option
@common.in_one_sentence
def main(
    files: tuple[str, ...],
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    split: str | None,
    num: int | None,
    batch_size: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Compress images without loss, to about as many bits as the flow's bits/dim say.

    FILES are pictures, folders of pictures, or one .npz or .npy file of images; without them, a split of the run's data
    is compressed. They are prepared as the run's own images were, so that a run that crops or resizes crops and resizes
    them first. `realnvp decompress` gives the prepared pixels back, bit for bit. It needs this run: the flow is not in
    the file. The first images cost more than the others, so compress many together.
    """
    from tqdm import tqdm

    from realnvp_jax.analysis.read import centred, read_examples
    from realnvp_jax.compression.compress import BATCH_SIZE, compress_named
    from realnvp_jax.compression.summary import summary
    from realnvp_jax.models.inputs import check_discrete
    from realnvp_jax.runs.files import replace_bytes

    path = common.free_path(output, workdir, "compress.rnvp", overwrite, (".rnvp",))
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    levels = check_discrete(run.flow.levels)
    names: list[str] = []
    if files:
        examples, names = read_examples(run, files, split=split or "all")
        is_array = names[0].isdecimal()  # its rows have numbers
        names = [] if is_array or levels < 256 else _relative(names)
    else:
        examples = run.split(split or "test")
    num = len(examples) if num is None else min(num, len(examples))
    examples = examples.first(num)
    with tqdm(total=num, desc="compressing", unit="image", disable=None, leave=False) as bar:
        data = compress_named(
            run.flow,
            run.params,
            centred(run, examples.x),
            examples.context,
            names[:num],
            batch_size=batch_size or BATCH_SIZE,
            progress=bar.update,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_bytes(path, data)
    found = summary(data, levels)
    rows = [
        ["", "bits/dim", "bytes"],
        _row("the file", found.bits_per_dim, found),
        _row("the flow's own, one dequantization", found.own, found),
        _row("overhead", found.overhead, found),
        _row("  start-up", found.start_up, found),
        _row("  header and checksums", found.framing, found),
        _row("  names and context", found.attached, found),
        _row("  coding", found.coding_overhead, found),
    ]
    click.echo(common.table(rows))
    click.echo(f"{num} images, {found.stored} of them stored without the flow")
    click.echo(
        f"start-up and header are 3% of the flow's own bits from {found.images_for(0.03)} images on, "
        f"1% from {found.images_for(0.01)}"
    )
    values = {
        "num": num,
        "bytes": found.num_bytes,
        "bits_per_dim": found.bits_per_dim,
        "own_bits_per_dim": found.own,
        "start_up": found.start_up,
        "framing": found.framing,
        "stored": found.stored,
    }
    common.write_note(path, run, values)
    click.echo(f"compressed: {path}")


def _row(name: str, bits_per_dim: float, found: Any) -> list[str]:
    size = bits_per_dim * found.num_images * found.num_dims / 8
    return [name, f"{bits_per_dim:.4f}", f"{size:,.0f}"]


def _relative(names: list[str]) -> list[str]:
    """The names of pictures relative to the folder that holds them all."""
    folders = [os.path.dirname(os.path.abspath(name)) for name in names]
    parent = os.path.commonpath(folders)
    relative = [os.path.relpath(os.path.abspath(name), parent) for name in names]
    files = Counter(name.lower() if name.lower().endswith(".png") else f"{name}.png".lower() for name in relative)
    for name, count in files.items():
        if count > 1:
            raise ValueError(f"expected names that differ as PNG files; got {count} for {shorten(name)}: rename them")
    return relative
