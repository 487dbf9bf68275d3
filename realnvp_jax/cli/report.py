"""`realnvp report`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@common.run_options
@click.option(
    "-n",
    "--num",
    type=click.IntRange(min=1),
    help="Number of test examples, from the start of the split. [default: 200 images, or 10000 vectors]",
)
@common.output_option("HTML file. [default: report.html in the folder analysis of the workdir]")
@common.overwrite_option
@common.in_one_sentence
def main(
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    num: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Check a run's flow, and write what was found on one page that needs nothing else.

    The page has the result with bounds of 1, 16 and 64 dequantizations; log_det against the Jacobian; rounding errors
    layer by layer; latents against the base; samples beside data, at several temperatures and with their nearest
    training examples; duplicates of the splits; scores of counter-examples; curves; and how the run was made. Each
    check has a bound and a verdict: passed, take a look, failed, or does not apply.
    """
    from realnvp_jax.analysis.report.build import make_report
    from realnvp_jax.analysis.report.style import WORDS
    from realnvp_jax.analysis.verdicts import VERDICTS
    from realnvp_jax.runs.files import write_text

    path = common.free_path(output, workdir, "report.html", overwrite, (".html",))
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    report = make_report(run, common.command_line(), num=num)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report.html)
    common.write_note(path, run, {check.name: check.as_numbers() for check in report.checks})
    rows = [["check", "value", "bound", "verdict"]]
    for verdict in VERDICTS:
        rows += [[c.name, c.value, c.bound, WORDS[verdict]] for c in report.checks if c.verdict == verdict]
    click.echo(common.table(rows) + "\n")
    click.echo(f"report on {report.num:,} test examples: {path} ({path.stat().st_size / 1e6:.1f} MB)")
