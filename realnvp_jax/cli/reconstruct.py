"""`realnvp reconstruct`."""

from pathlib import Path

import click

from realnvp_jax.cli import common


@click.command()
@common.run_options
@click.option("--split", default="test", show_default=True, help="train, validation or test.")
@click.option(
    "-n",
    "--num",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Number of examples, from the start of the split.",
)
@common.noise_seed_option
@common.batch_size_option
@common.output_option("PNG file of the latents' distributions. [default: reconstruct.png in the folder analysis]")
@common.overwrite_option
@common.in_one_sentence
def main(
    workdir: Path,
    step: str,
    data_dir: str,
    allow_changed_data: bool,
    split: str,
    num: int,
    seed: int | None,
    batch_size: int | None,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Send examples to their latents and back, and report on both.

    The command prints the largest and the mean error in the data's units (pixels are 1 apart) and the largest sum of
    both directions' log_det, in nats, in single and in double precision, and the error of every layer's own round trip,
    relative to its input: a layer that stands out is badly conditioned. A warning follows if single precision loses
    more than 0.01 of a pixel value or of a column's standard deviation, or 0.1 nats. The picture shows the latents of
    each scale beside the base distribution.
    """
    from realnvp_jax.analysis.latent_scales import latent_groups
    from realnvp_jax.analysis.round_trip import reconstruct
    from realnvp_jax.models.rounding import ADVICE, LARGEST_LOG_PROB_ERROR, LARGEST_ROUND_TRIP_ERROR
    from realnvp_jax.plots.vectors import save_latent_distributions

    path = common.free_path(output, workdir, "reconstruct.png", overwrite, (".png",))
    run = common.open_run(workdir, step, data_dir, allow_changed_data)
    examples = run.split(split).first(num)
    result = reconstruct(
        run.flow, run.params, examples, seed=seed, batch_size=batch_size or run.config.evaluate.batch_size
    )
    single, double = result.float32, result.float64
    rows = [["round trip", "largest error", "mean error", "log_det", *(["pixels changed"] if run.flow.levels else [])]]
    for name, trip in (("float32", single), ("float64", double)):
        changed = [f"{trip.changed:.4%}"] if run.flow.levels else []
        rows.append([name, f"{trip.largest:.2e}", f"{trip.mean:.2e}", f"{trip.log_det:.2e}", *changed])
    click.echo(f"{len(examples)} examples of {split}")
    click.echo(common.table(rows) + "\n")
    if not single.is_exact:
        unit = "pixel values" if run.flow.levels else "standard deviations"
        click.echo(
            f"warning: the flow is not inverted exactly in float32: errors up to {single.relative:.2g} {unit} (the "
            f"bound is {LARGEST_ROUND_TRIP_ERROR}) and {single.log_det:.2g} nats (the bound is "
            f"{LARGEST_LOG_PROB_ERROR}): {ADVICE}\n",
            err=True,
        )
    rows = [["layer", "largest, float32", "mean, float32", "largest, float64"]]
    for name, (largest, mean) in single.layers.items():
        mark = "  <- largest" if name == single.worst_layer else ""
        rows.append([name, f"{largest:.1e}", f"{mean:.1e}", f"{double.layers[name][0]:.1e}{mark}"])
    click.echo(common.table(rows) + "\n")
    groups = latent_groups(run.flow, result.latents)
    rows = [["latents", "mean", "standard deviation", "lowest", "highest"]]
    for name, values in groups.items():
        rows.append([name, *(f"{v:.3f}" for v in (values.mean(), values.std(), values.min(), values.max()))])
    click.echo(common.table(rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_latent_distributions(groups, run.flow.base, path, f"{run.title}; {len(examples):,} examples of {split}")
    values = {
        "num": len(examples),
        **{
            f"{name}_{key}": getattr(trip, key)
            for name, trip in (("float32", single), ("float64", double))
            for key in ("largest", "mean", "relative", "log_det", "changed", "layers")
        },
    }
    common.write_note(path, run, values)
    click.echo(f"distributions: {path}")
