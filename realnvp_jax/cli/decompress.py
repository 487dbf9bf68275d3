"""`realnvp decompress`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@common.run_options
@common.output_option("Folder to write to. [default: decompress in the folder analysis of the workdir]")
@common.overwrite_option
@common.in_one_sentence
def main(
    file: Path,
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    output: Path | None,
    overwrite: bool,
) -> None:
    """The images in FILE, which `realnvp compress` wrote, bit for bit.

    Pictures become PNG files under their names, other images the array images.npy. Nothing is written unless everything
    in the file was recovered: a damaged file, another run, another step of it, or a machine that computes the flow
    differently is refused.
    """
    import numpy as np
    from PIL import Image
    from tqdm import tqdm

    from realnvp_jax.compression.compress import decompress
    from realnvp_jax.compression.file import unpack

    directory = common.free_path(output, workdir, "decompress", overwrite)
    data = file.expanduser().read_bytes()
    header, _ = unpack(data)
    paths = [directory / (name if name.lower().endswith(".png") else f"{name}.png") for name in header.picture_names()]
    if len({str(path).lower() for path in paths}) < len(paths):
        raise ValueError("expected pictures with distinct names; got two that would become the same PNG file")
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    with tqdm(total=header.num_images, desc="decompressing", unit="image", disable=None, leave=False) as bar:
        images = decompress(run.flow, run.params, data, progress=bar.update)
    directory.mkdir(parents=True, exist_ok=True)
    if paths:
        for path, image in zip(paths, images, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path)
    else:
        np.save(directory / "images.npy", images)
    common.write_note(directory, run, {"num": len(images)})
    click.echo(f"{len(images)} images: {directory if paths else directory / 'images.npy'}")
