"""`realnvp publish`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@common.run_options
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--no-stablehlo", is_flag=True, help="Leave out the StableHLO functions.")
@click.option("--no-onnx", is_flag=True, help="Leave out the ONNX functions, which need the extra onnx.")
@click.option("--license", "license_name", default="", help="License of the parameters, for the model card.")
@click.option("--max-file-size", type=click.IntRange(min=1), help="MB of parameters in one file. [default: no limit]")
@common.overwrite_option
@common.in_one_sentence
def main(
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    directory: Path,
    no_stablehlo: bool,
    no_onnx: bool,
    license_name: str,
    max_file_size: int | None,
    overwrite: bool,
) -> None:
    """Write a run's flow as a folder to share: parameters, model card, samples, and functions for other programs.

    realnvp_jax.load(DIRECTORY) returns the flow and its parameters. log_prob and sample come as StableHLO, which runs
    in JAX without this package, and as ONNX, which runs without JAX; each is compared with the flow before it is
    written. The folder has the layout of model hubs, so that uploading it is a copy.
    """
    from realnvp_jax.analysis.publish import publish
    from realnvp_jax.runs.saved_flow import check_free

    directory = directory.expanduser()
    check_free(directory, overwrite)
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    exports = publish(
        run,
        directory,
        stablehlo=not no_stablehlo,
        onnx=not no_onnx,
        license_name=license_name,
        overwrite=overwrite,
        max_file_size=None if max_file_size is None else max_file_size * 10**6,
    )
    for file, reason in exports.left_out.items():
        click.echo(f"left out {file}: {reason}", err=True)
    rows = [["file", "MB", "difference from the flow"]]
    for file in sorted(directory.iterdir()):
        difference = exports.differences.get(file.name)
        rows.append([file.name, f"{file.stat().st_size / 1e6:.2f}", "" if difference is None else f"{difference:.1e}"])
    click.echo(common.table(rows))
    click.echo(f"published: {directory}")
