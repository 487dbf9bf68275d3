"""Is the density exact? log_det against the Jacobian, rounding errors, and the integral on the plane."""

import numpy as np

from realnvp_jax.analysis.jacobian import MOST_DIMS, log_det_errors
from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Gallery, Section, Table, draw
from realnvp_jax.analysis.round_trip import dequantized
from realnvp_jax.analysis.sampling import sample_in_batches
from realnvp_jax.analysis.verdicts import Check, at_most, does_not_apply
from realnvp_jax.models.rounding import LARGEST_LOG_PROB_ERROR, LARGEST_ROUND_TRIP_ERROR
from realnvp_jax.plots.plane import density_on_grid, limits_of, save_density
from realnvp_jax.training.evaluation import evaluation_key

_JACOBIANS = (4, 32)  # the fewest and the most examples whose Jacobian is computed
_ROWS = 2048  # of Jacobians, between the two
_CELLS = 500  # of the grid on the plane, along each axis
_DRAWS = 10_000  # the share outside the grid is then exact to 0.005

_JACOBIAN = "log_det is that of the Jacobian"
_INTEGRAL = "The density integrates to one"


def exactness_section(material: Material) -> Section:
    """Checks of the change of variables and of its arithmetic."""
    trip = material.round_trip
    single, double, count = trip.float32, trip.float64, len(trip.latents)
    unit = "pixel values" if material.run.flow.levels is not None else "standard deviations"
    integral, pictures = _integral(material)
    checks = [
        _jacobian(material),
        integral,
        at_most(
            "log_det in float32 equals that in float64",
            trip.log_det_error,
            LARGEST_LOG_PROB_ERROR / 10,
            LARGEST_LOG_PROB_ERROR,
            "This is about the most by which rounding changes the log-density of an example.",
            "nats",
        ),
        at_most(
            "Round trip in float32",
            single.relative,
            LARGEST_ROUND_TRIP_ERROR / 10,
            LARGEST_ROUND_TRIP_ERROR,
            "The largest error of data sent to their latents and back, which tells how exact samples are.",
            unit,
        ),
        at_most(
            "Round trip in float64",
            double.relative,
            1e-6,
            LARGEST_ROUND_TRIP_ERROR,
            "In double precision only a wrong inverse, or layers that amplify errors a billionfold, leave an error.",
            unit,
        ),
        at_most(
            "Both directions have the same log_det",
            single.log_det,
            LARGEST_LOG_PROB_ERROR / 10,
            LARGEST_LOG_PROB_ERROR,
            "The log_dets of forward and of inverse should cancel: this is their largest sum, in float32.",
            "nats",
        ),
    ]
    rows = [
        (name, f"{largest:.1e}", f"{mean:.1e}", f"{double.layers[name][0]:.1e}", f"{double.layers[name][1]:.1e}")
        for name, (largest, mean) in single.layers.items()
    ]
    text = (
        f"Errors of {count:,} test examples. A layer's error is that of its own round trip, relative to its input; one "
        "that stands out is badly conditioned."
    )
    heading = ("layer", "largest, float32", "mean, float32", "largest, float64", "mean, float64")
    return Section("Exactness", text, checks, [Table(heading, rows, "Round-trip error of each layer"), *pictures])


def _jacobian(material: Material) -> Check:
    run = material.run
    if run.flow.num_dims > MOST_DIMS:
        reason = f"The Jacobian of {run.flow.num_dims:,} dimensions is too large: the limit is {MOST_DIMS:,}."
        return does_not_apply(_JACOBIAN, f"{reason} log_det has not been checked.")
    fewest, most = _JACOBIANS
    examples = material.test.first(min(most, max(fewest, _ROWS // run.flow.num_dims)))
    few = dequantized(run.flow, run.params, examples, evaluation_key())
    errors = log_det_errors(run.flow, run.params, few.x, few.context)
    sentence = (
        f"The log_det of forward against the log-determinant of the Jacobian by automatic differentiation, in float64, "
        f"for {len(few)} examples: a difference means that the densities are wrong."
    )
    return at_most(_JACOBIAN, float(abs(errors).max()), 1e-5, 1e-3, sentence, "nats")


def _integral(material: Material) -> tuple[Check, list[Gallery]]:
    """The density summed over a grid on the plane, plus the share of samples outside of the grid."""
    run, test = material.run, material.test
    if run.flow.event_shape != (2,):
        return does_not_apply(_INTEGRAL, "Only a density on the plane can be summed over a grid."), []
    context = None if test.context is None else test.context[:1]
    low, high = limits_of(test.x)
    grid = density_on_grid(run.flow, run.params, low, high, num=_CELLS, context=None if context is None else context[0])
    samples = np.concatenate(list(sample_in_batches(run.flow, run.params, _DRAWS, context=context, batch_size=_DRAWS)))
    outside = 1 - float(((samples >= low) & (samples <= high)).all(axis=1).mean())
    given = "" if context is None else ", given the context of the first test example"
    sentence = (
        f"The sum of the density over a grid around the test data is {grid.mass:.4f}{given}, and "
        f"{100 * outside:.2f}% of {_DRAWS:,} samples are outside of the grid. Together they should be 1."
    )
    check = at_most(_INTEGRAL, abs(grid.mass + outside - 1), 0.02, 0.05, sentence, "from 1")
    columns = run.modelled_columns()
    picture = draw(f"The density on the plane{given}.", lambda path: save_density(grid, path, columns))
    return check, [Gallery([picture])]
