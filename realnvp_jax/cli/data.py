"""`realnvp data`: look at a set of images, or at the cache of decoded images."""

from pathlib import Path

import click

from realnvp_jax.data.images.cache import clear_cache, default_cache_dir, list_cache
from realnvp_jax.data.images.description import describe, image_data
from realnvp_jax.plots.images import save_image_grid


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("name_or_path", required=False)
@click.option("--data-dir", default="", help="TFDS's data directory. [default: TFDS_DATA_DIR or ~/tensorflow_datasets]")
@click.option("--manual-dir", default="", help="Directory of original files that were downloaded by hand.")
@click.option("--cache-dir", default="", help="Cache of decoded images. [default: in the user's cache directory]")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Height and width to crop and resize to. [default: the images' own size, or 32 if it varies]",
)
@click.option("--greyscale", is_flag=True, help="Convert to one channel; needs --size.")
@click.option("--crop", default="none", help="none, centre, or rows and columns such as 40:188,15:163.")
@click.option("--num-bits", default=0, help="Keep this many of the 8 bits. [default: all]")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("contact_sheet.png"),
              show_default=True, help="Where to write a hundred images of the first split.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Write the contact sheet over an existing file.")
@click.option("--cache", "show_cache", is_flag=True, help="List the cache of decoded images and its size, and stop.")
@click.option("--clear-cache", "clear", is_flag=True, help="Remove the cache of decoded images, and stop.")
def main(
    name_or_path: str | None,
    data_dir: str,
    manual_dir: str,
    cache_dir: str,
    size: int | None,
    greyscale: bool,
    crop: str,
    num_bits: int,
    output: Path,
    overwrite: bool,
    show_cache: bool,
    clear: bool,
) -> None:
    """Describe a set of images, and draw a contact sheet.

    NAME_OR_PATH is digits, shapes, the name of a TFDS data set (cifar10, downsampled_imagenet/32x32), a folder of
    pictures, an .npz or .npy file, or a directory that TFDS has prepared; a folder takes precedence over a data set of
    the same name. The command prints the number of images, the levels that pixels take, the mean and standard
    deviation of each channel (the highest level is 1), the number of exact duplicates, files that cannot be used, and
    the bits/dim of simple codes, fitted to the training split and evaluated on the test split (or on the last fifth, if
    there is only one split).
    """
    directory = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
    if show_cache or clear:
        _cache(directory, clear)
        return
    if name_or_path is None:
        raise click.UsageError("expected the name of a data set, a folder or a file; got none")
    if not output.absolute().parent.is_dir():
        raise click.ClickException(f"expected --output in an existing directory; got {str(output)!r}")
    if crop == "random":
        raise click.UsageError("expected --crop none, centre, or rows and columns; got random, which is for training")
    if greyscale and size is None:
        raise click.UsageError("expected --size with --greyscale; got none")
    shape = None if size is None else (size, size, 1 if greyscale else 3)
    try:
        data = image_data(
            name_or_path, data_dir=data_dir, manual_dir=manual_dir, cache_dir=cache_dir, crop=crop, num_bits=num_bits
        )
        description = describe(data, shape, title=name_or_path)
        click.echo(description)
        if output.exists() and not overwrite:
            raise click.ClickException(f"expected a new file in --output; got {str(output)!r}: add --overwrite")
        save_image_grid(description.sheet, description.levels, output)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"\n{len(description.sheet)} images of {description.splits[0].name}: {output}")


def _cache(directory: Path, clear: bool) -> None:
    entries = list_cache(directory)
    for entry in entries:
        what = f"{entry.num:9,} x {entry.shape}  {entry.title}" if entry.title else "incomplete"
        click.echo(f"{entry.num_bytes / 1e6:10,.1f} MB  {what}")
    click.echo(f"{sum(entry.num_bytes for entry in entries) / 1e6:10,.1f} MB in {len(entries)} entries of {directory}")
    if clear:
        click.echo(f"removed {clear_cache(directory)} entries")
