"""The pictures of a run's flow, of images or of vectors."""

from pathlib import Path

import jax
import numpy as np

from realnvp_jax.data.images.labels import grid_columns, one_hot
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.plots import images, plane, vectors
from realnvp_jax.runs.decorations import attempt, warn
from realnvp_jax.runs.experiment import Experiment
from realnvp_jax.text import describe_error

_MOST_PICTURES = 50  # in the folder samples; older ones are removed
_MOST_ROWS = 256  # in a grid with one class per row; further classes are not drawn


def save_samples(
    experiment: Experiment, params: Params, path: Path, title: str, continuous: Path | None = None
) -> None:
    """Write a grid of `evaluate.num_samples` images, floored to levels, or samples of vectors beside test data.

    For a class-conditional flow each row shows at least four images of one class, in the order of the classes.

    Args:
      experiment: the run.
      params: parameters of its flow.
      path: the PNG file.
      title: title of the picture.
      continuous: where to write the same images before they are floored.
    """
    flow, splits, num = experiment.flow, experiment.splits, experiment.config.evaluate.num_samples
    _, _, key = experiment.keys()
    path.parent.mkdir(parents=True, exist_ok=True)
    contexts, columns = splits.test.context, None
    if splits.classes:
        rows = min(len(splits.classes), _MOST_ROWS)
        columns = grid_columns(rows, num, least=4)
        contexts = one_hot(np.repeat(np.arange(rows), columns), len(splits.classes))
        num = len(contexts)
    samples = _sample(flow, params, key, num, contexts)
    if flow.levels is None:
        vectors.save_points(splits.test.x, samples, splits.columns, path, title)
    else:
        images.save_image_grid(np.asarray(flow.to_uint8(samples)), flow.levels, path, columns, title)
        if continuous is not None:
            shades = np.clip(np.floor(samples * (256 / flow.levels)), 0, 255).astype(np.uint8)
            images.save_image_grid(shades, 256, continuous, columns, title)


def remove_old(folder: Path) -> None:
    """Remove all but the newest pictures of the folder samples."""
    for path in sorted(folder.glob("step_*.png"))[:-_MOST_PICTURES]:
        path.unlink(missing_ok=True)


def _sample(flow: Flow, params: Params, key: jax.Array, num: int, contexts: np.ndarray | None) -> np.ndarray:
    """Samples; those of a conditional flow cycle through the given contexts."""
    if contexts is None:
        return np.asarray(flow.sample(params, key, (num,), progress=True))
    return np.asarray(flow.sample(params, key, context=contexts[np.arange(num) % len(contexts)], progress=True))


def plane_density(flow: Flow, params: Params, points: np.ndarray) -> plane.DensityGrid | None:
    """An unconditional density on the plane, on a grid around the points.

    Returns:
      The grid, or None for other densities; also None, after a warning, if it cannot be computed.
    """
    if flow.event_shape != (2,) or flow.context_size:
        return None
    try:
        return plane.density_on_grid(flow, params, *plane.limits_of(points))
    except Exception as error:  # as in `attempt`
        warn(f"the density on the plane was not computed ({describe_error(error)})")
        return None


def save_plane(experiment: Experiment, params: Params, grid: plane.DensityGrid, title: str) -> None:
    """Write the pictures of a density on the plane: the density, latents and the warped grid. Failures are warnings.

    Args:
      experiment: the run; the latents are those of its test data.
      params: parameters of its flow.
      grid: the density.
      title: title of the pictures.
    """
    flow, splits, directory = experiment.flow, experiment.splits, experiment.files.path
    path = directory / "density.png"
    attempt(path, plane.save_density, grid, path, splits.columns, title)
    path = directory / "latents.png"
    attempt(path, plane.save_latents, flow, params, splits.test.x, path, title)
    path = directory / "warped_grid.png"
    attempt(path, plane.save_warped_grid, flow, params, grid, path, splits.columns, title)
