"""The end of a run: result.json and the pictures."""

import math
from typing import Any

import jax

from realnvp_jax.data.vectors.discrete import Grid, mass_bound
from realnvp_jax.models.flow import Params
from realnvp_jax.plots import curves
from realnvp_jax.plots.plane import DensityGrid
from realnvp_jax.runs import pictures
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.decorations import attempt, warn
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.history import note_finish
from realnvp_jax.runs.result import describe_result, picture_title
from realnvp_jax.runs.trackers import Trackers
from realnvp_jax.training.steps import cost

_MANY_EVALUATIONS = 3


def finish(
    experiment: Experiment,
    trackers: Trackers,
    best: Best,
    params: Params,
    score: tuple[float, float | None],
    last_step: int,
    *,
    is_average: bool,
) -> dict[str, Any]:
    """Write the files of a finished run, the result first.

    Args:
      experiment: the run.
      trackers: where the result and the pictures are reported.
      best: the best step.
      params: the parameters of that step.
      score: (mean, standard error) of these parameters on the test set.
      last_step: the step at which training ended.
      is_average: whether the parameters are an average.

    Returns:
      The contents of result.json.
    """
    config, files = experiment.config, experiment.files
    mean, standard_error = score
    result = {
        "mean": mean,
        "standard_error": standard_error,
        "unit": experiment.unit,
        "split": config.dataset.test,
        "num_examples": len(experiment.splits.test),
        "evaluate.num_examples": config.evaluate.num_examples,
        "step": best.step,
        "num_steps": config.num_steps,
        "validation": cost(experiment.flow, best.cost),
        "ema": is_average,
        "seed": config.seed,
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "jax": jax.__version__,
    }
    if experiment.flow.levels is not None and mean > math.log2(experiment.flow.levels):
        warn(
            f"the test result is worse than that of a uniform density, {math.log2(experiment.flow.levels):.3f} "
            f"{experiment.unit}: the training has hardly begun, or it has diverged"
        )
    if last_step < config.num_steps:
        result["patience"] = config.patience
    warn_of_overfitting(best, config.evaluate.every)
    if config.evaluate.num_importance_samples > 1:
        result["num_importance_samples"] = config.evaluate.num_importance_samples
    if best.lost_step is not None:
        result["lost_best"] = {"step": best.lost_step, "validation": cost(experiment.flow, best.lost_cost)}
    grids = {column: Grid(*values) for column, values in experiment.splits.grids.items()}
    if grids:
        result["dequantized"] = {"columns": list(grids), "log_mass_bound": mass_bound(mean, grids)}
    grid = pictures.plane_density(experiment.flow, params, experiment.splits.test.x)
    if grid is not None:
        result["density_sum"] = grid.mass
    write_json(files.result_path, result)
    attempt(files.run_path, note_finish, files.run_path)
    trackers.result(result)
    _draw(experiment, trackers, params, grid, picture_title(files.path, result["step"], result), last_step)
    print(describe_result(result), flush=True)
    return result


def warn_of_overfitting(best: Best, period: int) -> None:
    """Warn if no later evaluation, each after `period` updates, was better than the first."""
    if best.step is None or best.step > period or best.waited < _MANY_EVALUATIONS or best.lost_step is not None:
        return
    none = f"none of {best.waited} evaluations had a better validation result than"
    if best.step == 0:
        warn(
            f"{none} the flow before the first update: either the data can hardly be told from samples of that flow "
            "(with the config table, of a Gaussian), or it takes a smaller flow or a lower learning_rate to learn more"
        )
    else:
        warn(
            f"{none} the first one after training began, at step {best.step}: the flow probably overfits the training "
            "examples; a smaller one or a smaller evaluate.every may do better"
        )


def _draw(
    experiment: Experiment, trackers: Trackers, params: Params, grid: DensityGrid | None, title: str, last_step: int
) -> None:
    """Write the pictures of a finished run, whose result has already been written and does not depend on them."""
    files = experiment.files
    samples, curve = files.path / "samples.png", files.path / "curves.png"
    drawn = []
    continuous = samples.with_name("samples_continuous.png")
    if attempt(samples, pictures.save_samples, experiment, params, samples, title, continuous):
        drawn.append(f"samples: {samples}")
        trackers.image(last_step, "samples", samples)
    if grid is not None:
        pictures.save_plane(experiment, params, grid, title)
        print(f"density on a grid of {grid.density.size:,} points: integrates to {grid.mass:.4f}")
    if attempt(curve, curves.save_curves, files.metrics_path, curve, experiment.unit, title):
        drawn.append(f"curves: {curve}")
    if drawn:
        print("  ".join(drawn))
