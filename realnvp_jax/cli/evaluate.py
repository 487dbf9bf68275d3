"""`realnvp evaluate`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@common.run_options
@click.option("--split", default="test", show_default=True, help="train, validation or test.")
@click.option("--num-samples", type=int, help="K dequantizations per image in the bound; default: as the run's result.")
@common.noise_seed_option
@common.batch_size_option
@click.option(
    "--csv", type=click.Path(dir_okay=False, path_type=Path), help="CSV file to write the score of every example to."
)
@common.overwrite_option
@common.in_one_sentence
def main(
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    split: str,
    num_samples: int | None,
    seed: int | None,
    batch_size: int | None,
    csv: Path | None,
    overwrite: bool,
) -> None:
    """Print the mean score of a split in evaluation mode, over every example, with its standard error.

    Images: bits per dimension; --num-samples K averages the likelihood over K dequantizations, which tightens the
    bound (the paper uses K = 1). Vectors: log-density in nats. The defaults reproduce the number in result.json.
    If the flow has batch norm, the score under the statistics of batches is printed as well: a difference of 0.05 or
    more means that the running statistics do not fit yet.
    """
    from realnvp_jax.analysis.split_evaluation import NOTABLE_DIFFERENCE, evaluate
    from realnvp_jax.data.vectors.csv_tables import write_csv
    from realnvp_jax.text import plus_minus

    path = None if csv is None else common.free_path(csv, workdir, csv.name, overwrite, (".csv",))
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    own = run.config.evaluate.num_importance_samples if split == "test" else 1
    count = own if num_samples is None else num_samples
    result = evaluate(run, split, num_samples=count, seed=seed, batch_size=batch_size)
    bound = f", {count} samples" if count > 1 else ""
    number = f"{plus_minus(result.mean, result.standard_error)} {result.unit}"
    first = "the first " if run.config.evaluate.num_examples and split != "train" else ""
    click.echo(f"{split}: {number} ({first}{len(result.scores)} examples{bound})")
    if result.train_mode is not None:
        click.echo(f"under the statistics of batches: {result.train_mode:.3f} {result.unit}")
    if result.modes_differ:
        click.echo(f"warning: the two differ by {NOTABLE_DIFFERENCE} or more: running statistics do not fit", err=True)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_csv(path, [{"example": range(len(result.scores)), result.unit.replace("/", "_per_"): result.scores}])
        values = {"mean": result.mean, "standard_error": result.standard_error, "train_mode": result.train_mode}
        common.write_note(path, run, values)
        click.echo(f"scores: {path}")
