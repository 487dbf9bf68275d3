"""`realnvp score`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from realnvp_jax.cli import common

_LOW_MEDIAN = 25  # percentile of a split, of which 50 is expected
_CAUTION = """\b
What a likelihood cannot do: smooth or simple images are often MORE
likely than every training image, and a flow trained on CIFAR-10 finds SVHN
more likely than CIFAR-10 (Nalisnick et al., 2019). A high log_prob does not
mean "normal". Use --against with data for which the answer is known, and
believe a score only where its AUROC is far above 0.5.
"""

_HELP = """Anomaly scores of FILES: pictures, folders of pictures, a .npz or .npy file of images, or a table.

\b
log_prob              log-density in nats
bits_per_dim          bits/dim of images
percentile            percent of the training data that are less likely
complexity_corrected  bits/dim minus those of PNG or WebP (Serra et al., 2020)
typicality            distance of -log p from its mean over training data

Larger complexity_corrected and typicality, and smaller log_prob, mean more anomalous. A CSV file has the scores of
every example. The AUROC of a score is the probability that it rates one of FILES as more anomalous than one of
--against: 1 is perfect, 0.5 is chance, below 0.5 it rates FILES as more normal.
"""


@click.command(help=_HELP, epilog=_CAUTION)
@click.argument("files", nargs=-1, required=True)
@common.run_options
@click.option(
    "--against",
    multiple=True,
    default=("test",),
    show_default=True,
    help="Data that count as normal, for the AUROC of each score: a split of the run, or files; repeatable.",
)
@click.option(
    "--split",
    default="all",
    show_default=True,
    help="Part of FILES to score: a subfolder, or an array of an .npz file.",
)
@click.option("--id", "id_column", default="", help="Column of a table that names its rows in the CSV file.")
@click.option("--resize", is_flag=True, help="Crop the centre of images of another size, and resize it.")
@click.option(
    "--reference",
    type=click.IntRange(min=2),
    default=2000,
    show_default=True,
    help="Number of random training examples that percentile and typicality refer to.",
)
@common.noise_seed_option
@common.batch_size_option
@common.output_option("CSV file of the scores. [default: score.csv in the folder analysis of the workdir]")
@common.overwrite_option
@common.in_one_sentence
def main(
    files: tuple[str, ...],
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    against: tuple[str, ...],
    split: str,
    id_column: str,
    resize: bool,
    reference: int,
    seed: int | None,
    batch_size: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Anomaly scores of FILES: pictures, folders of pictures, a .npz or .npy file of images, or a table."""
    from realnvp_jax.analysis.anomalies import Scores, aurocs, score_examples
    from realnvp_jax.analysis.read import read_examples
    from realnvp_jax.data.vectors.csv_tables import write_csv
    from realnvp_jax.text import shorten

    path = common.free_path(output, workdir, "score.csv", overwrite, (".csv",))
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    examples, names = read_examples(run, files, split=split, resize=resize, id_column=id_column)
    training = _some(run.split("train"), reference)
    if id_column in Scores.__dataclass_fields__:
        raise ValueError(f"expected --id to name a column without the name of a score; got {id_column!r}: rename it")
    normal = _normal(run, against, resize, id_column)
    options = {"seed": seed, "batch_size": batch_size}
    outside = score_examples(run, examples, training, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_csv(path, [{id_column or "example": names, **outside.columns()}])
    unknown = np.flatnonzero(np.isnan(outside.log_prob))
    if len(unknown):
        click.echo(
            f"warning: {len(unknown)} of {len(names)} scores are NaN, that of {shorten(names[unknown[0]], 100)} among "
            "them: their values are too extreme for the flow; they are left out of the medians and the AUROC",
            err=True,
        )
        outside = outside.without(unknown)
    if len(unknown) == len(names):
        raise ValueError(
            f"expected some scores that are numbers; got {len(names)} that are NaN, in {shorten(path, 150)}"
        )
    inside = score_examples(run, normal, training, **options)
    areas = aurocs(inside, outside)
    rows = [["score", f"median of {len(names) - len(unknown)} scored", f"median of {', '.join(against)}"]]
    for name, values in outside.columns().items():
        rows.append([name, f"{np.median(values):.3f}", f"{np.median(inside.columns()[name]):.3f}"])
    click.echo(common.table(rows) + "\n")
    click.echo(common.table([["AUROC by", ""], *([name, f"{area:.3f}"] for name, area in areas.items())]))
    failing = [name for name, area in areas.items() if round(area, 3) < 0.5]
    if failing:
        click.echo(f"below 0.5, so these rate the scored data as more normal: {', '.join(failing)}")
    median = float(np.median(inside.columns()["percentile"]))
    if median < _LOW_MEDIAN and set(against) <= {"validation", "test"}:
        click.echo(
            f"warning: the median percentile of {', '.join(against)} is {median:.1f} instead of about 50: the flow "
            "probably overfits its training data, which makes the percentiles of other data too small",
            err=True,
        )
    common.write_note(path, run, {"num": len(names), "reference": len(training), "aurocs": areas})
    click.echo(f"scores: {path}")


def _normal(run: Any, against: Sequence[str], resize: bool, id_column: str) -> Any:
    """The data that count as normal; a table may have the column of the names, too."""
    from realnvp_jax.analysis.read import centred, read_examples
    from realnvp_jax.analysis.run import SPLITS
    from realnvp_jax.data.examples import Examples
    from realnvp_jax.data.vectors.table_files import read_frame

    parts = []
    for name in against:
        if name in SPLITS:
            parts.append(run.split(name))
            continue
        own = id_column if id_column and id_column in read_frame(name).columns else ""
        parts.append(read_examples(run, [name], resize=resize, id_column=own)[0])
    x = [part.x for part in parts]
    if len({values.shape[1:] for values in x}) > 1:  # some are to be cropped, others have been
        x = [centred(run, values) for values in x]
    context = None if parts[0].context is None else np.concatenate([part.context for part in parts])
    return Examples(np.concatenate(x), context)


def _some(examples: Any, num: int) -> Any:
    """Up to `num` examples, chosen at random but always the same."""
    from realnvp_jax.data.examples import Examples

    chosen = np.sort(np.random.default_rng(0).permutation(len(examples))[:num])
    return Examples(examples.x[chosen], None if examples.context is None else examples.context[chosen])
