"""The pictures of a run's flow, of images or of vectors."""

from pathlib import Path

import jax
import numpy as np

from realnvp_jax import plots
from realnvp_jax.data.examples import Splits
from realnvp_jax.data.labels import grid_columns, one_hot
from realnvp_jax.models.flow import Flow, Params

_MOST_ROWS = 256  # of a grid with one class in each row; the other classes are not drawn


def save_samples(
    flow: Flow, params: Params, key: jax.Array, num: int, splits: Splits, path: Path, continuous: Path | None = None
) -> None:
    """Write a grid of sampled images, floored to levels, or samples of vectors beside test data.

    The images of a class-conditional flow have one class in each row, in the order of its classes.

    Args:
      flow: the flow.
      params: its parameters.
      key: random key of the samples.
      num: how many; at least, where a row of at least four images is one class.
      splits: the data.
      path: the PNG file.
      continuous: where to write the same images as they were drawn, before they are floored.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    contexts, columns = splits.test.context, None
    if splits.classes:
        rows = min(len(splits.classes), _MOST_ROWS)
        columns = grid_columns(rows, num, least=4)
        contexts = one_hot(np.repeat(np.arange(rows), columns), len(splits.classes))
        num = len(contexts)
    samples = _sample(flow, params, key, num, contexts)
    if flow.levels is None:
        plots.save_points(splits.test.x, samples, splits.columns, path)
    else:
        plots.save_image_grid(np.asarray(flow.to_uint8(samples)), flow.levels, path, columns)
        if continuous is not None:
            shades = np.clip(np.floor(samples * (256 / flow.levels)), 0, 255).astype(np.uint8)
            plots.save_image_grid(shades, 256, continuous, columns)


def _sample(flow: Flow, params: Params, key: jax.Array, num: int, contexts: np.ndarray | None) -> np.ndarray:
    """Samples, of a conditional flow under these contexts one after the other, and again from the first."""
    if contexts is None:
        return np.asarray(flow.sample(params, key, (num,), progress=True))
    return np.asarray(flow.sample(params, key, context=contexts[np.arange(num) % len(contexts)], progress=True))


def save_plane(flow: Flow, params: Params, points: np.ndarray, directory: Path) -> dict[str, float]:
    """Write density, latents and the warped grid of an unconditional density on the plane; of others write nothing.

    Returns:
      {"density_sum": the mass that the picture of the density shows}, or {}.
    """
    if flow.event_shape != (2,) or flow.context_size:
        return {}
    grid = plots.density_on_grid(flow, params, *plots.limits_of(points))
    plots.save_density(grid, directory / "density.png")
    plots.save_latents(flow, params, points, directory / "latents.png")
    plots.save_warped_grid(flow, params, grid, directory / "warped_grid.png")
    print(f"density on a grid of {grid.density.size:,} points: sums to {grid.mass:.4f}")
    return {"density_sum": grid.mass}
