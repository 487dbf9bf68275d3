"""`realnvp show`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@click.option("-w", "--workdir", required=True, type=click.Path(path_type=Path), help="Directory of the run.")
@click.option("--config", "whole_config", is_flag=True, help="Print every key of the config.")
@common.in_one_sentence
def main(workdir: Path, whole_config: bool) -> None:
    """Describe a workdir: its model and data, checkpoints, validation results, test result, and sizes."""
    from realnvp_jax.runs.checkpoints import open_checkpoints
    from realnvp_jax.runs.load import create_flow
    from realnvp_jax.runs.metrics_log import read_metrics
    from realnvp_jax.runs.result import describe_result, read_result
    from realnvp_jax.runs.saved_config import flatten, read_config

    config = read_config(workdir)
    if whole_config:
        for key, value in sorted(flatten(config).items()):
            click.echo(f"{key} = {value!r}")
        return
    click.echo(f"{workdir}")
    click.echo(f"data: {config.dataset.name} {config.dataset.path}".rstrip())
    click.echo(f"model: {create_flow(config, workdir)}")
    click.echo(f"training: {config.num_steps} steps of {config.batch_size}, learning rate {config.learning_rate:g}")
    if (workdir / "checkpoints").is_dir():
        with open_checkpoints(workdir) as checkpoints:
            click.echo(f"checkpoints: steps {', '.join(map(str, sorted(checkpoints.steps()))) or 'none'}")
    rows = []
    if (workdir / "metrics.csv").is_file():
        rows = [row for row in read_metrics(workdir / "metrics.csv")[0] if row["validation"]]
    if rows:
        shown = [rows[i * (len(rows) - 1) // 7] for i in range(8)] if len(rows) > 8 else rows
        columns = ("train", "validation")  # before the first update there is only the latter
        cells = [[row["step"], *(row[key] and f"{float(row[key]):.3f}" for key in columns)] for row in shown]
        click.echo(common.table([["step", *columns], *cells]))
    result = workdir / "result.json"
    click.echo(describe_result(read_result(result)) if result.is_file() else "no test result yet")
    sizes = [(sum(f.stat().st_size for f in _files(path)), path.name) for path in sorted(workdir.iterdir())]
    click.echo("sizes: " + ", ".join(f"{name} {size / 1e6:.1f} MB" for size, name in sorted(sizes, reverse=True)[:5]))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
