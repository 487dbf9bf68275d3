"""Densities on the plane: points, the density on a grid, latents, and a grid of latents as the flow warps it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from realnvp_jax.base import Normal, Uniform
from realnvp_jax.models.flow import Flow, Params
from realnvp_jax.plots.names import COORDINATES, LATENTS, name_axes, write_title

Corner = np.ndarray | tuple[float, float]
Axes = Any  # matplotlib.axes.Axes; Matplotlib is imported when a picture is drawn


_GRID_BATCH = 20_000


@dataclasses.dataclass(frozen=True, eq=False)
class DensityGrid:
    """A density at the centres of the cells of a grid on the plane.

    Attributes:
      low: the lower left corner of the grid.
      high: its upper right corner.
      density: values; density[j, i] is in row j (second coordinate) and column i (first coordinate).
    """

    low: np.ndarray
    high: np.ndarray
    density: Float[np.ndarray, "rows columns"]

    @property
    def mass(self) -> float:
        """Sum of density times cell area: 1 if the grid is fine and wide enough."""
        area = np.prod((self.high - self.low) / np.array(self.density.shape[::-1]))
        return float(self.density.sum(dtype=np.float64) * area)


def limits_of(points: Float[np.ndarray, "n 2"], margin: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """(lower left, upper right) of a rectangle around the points, wider by `margin` times its size on every side."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    return low - margin * (high - low), high + margin * (high - low)


def relative_height(low: Corner, high: Corner) -> float | None:
    """Height of a rectangle divided by its width, or None if they are too unequal to be drawn to one scale."""
    width, height = np.subtract(high, low)
    return float(height / width) if 0.25 <= height / width <= 4 else None


def _aspect(low: Corner, high: Corner) -> str:
    return "auto" if relative_height(low, high) is None else "equal"


def density_on_grid(
    flow: Flow, params: Params, low: np.ndarray, high: np.ndarray, num: int = 1000, context: Any = None
) -> DensityGrid:
    """exp(log_prob) of a flow on num x num cells of the plane; a conditional flow needs one context."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    middles = [low[i] + (np.arange(num) + 0.5) * (high[i] - low[i]) / num for i in range(2)]
    points = np.stack(np.meshgrid(*middles), axis=-1).reshape(-1, 2).astype(np.float32)
    missing = -len(points) % _GRID_BATCH
    batches = np.concatenate([points, points[:1].repeat(missing, axis=0)]).reshape(-1, _GRID_BATCH, 2)
    log_prob = np.concatenate([np.asarray(flow.log_prob(params, batch, context)) for batch in batches])
    return DensityGrid(low, high, np.exp(log_prob[: len(points)].astype(np.float64)).reshape(num, num))


def draw_points(
    axes: Axes,
    points: np.ndarray,
    title: str,
    limits: tuple[Corner, Corner],
    names: Sequence[str] = COORDINATES,
) -> None:
    """Draw a scatter plot of points on the plane."""
    axes.scatter(points[:, 0], points[:, 1], s=2, alpha=min(1.0, 2000 / len(points)), linewidths=0)
    axes.set(
        title=title,
        xlim=(limits[0][0], limits[1][0]),
        ylim=(limits[0][1], limits[1][1]),
        aspect=_aspect(*limits),
    )
    name_axes(axes, names)


def draw_density(axes: Axes, grid: DensityGrid, title: str = "density", names: Sequence[str] = COORDINATES) -> None:
    """Draw the density with a colour bar."""
    extent = (grid.low[0], grid.high[0], grid.low[1], grid.high[1])
    image = axes.imshow(
        grid.density, origin="lower", extent=extent, cmap="viridis", aspect=_aspect(grid.low, grid.high)
    )
    axes.figure.colorbar(image, ax=axes, label="density")
    axes.set_title(title)
    name_axes(axes, names)


def draw_latents(axes: Axes, flow: Flow, params: Params, points: np.ndarray, colors: np.ndarray | None = None) -> None:
    """Draw the latents of points; for a normal base, with circles that contain 39%, 86% and 99% of it."""
    z = np.asarray(flow.forward(params, points)[0])
    colors = points[:, 0] if colors is None else colors
    name_axes(axes, LATENTS)
    axes.scatter(z[:, 0], z[:, 1], c=colors, s=2, linewidths=0, cmap="coolwarm")
    if isinstance(flow.base, Uniform):
        axes.set(title="latents on the unit square", aspect="equal", xlim=(0, 1), ylim=(0, 1))
        return
    if not isinstance(flow.base, Normal):
        axes.set(title=f"latents, with the base {flow.base}", aspect="equal")
        return
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2, 3):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color="black", linewidth=0.7)
    axes.set(
        title="latents; circles at 1, 2, 3 standard deviations", aspect="equal", xlim=(-4.5, 4.5), ylim=(-4.5, 4.5)
    )


def draw_warped_grid(
    axes: Axes,
    flow: Flow,
    params: Params,
    limits: tuple[Corner, Corner],
    radius: float = 3.0,
    names: Sequence[str] = COORDINATES,
) -> None:
    """Draw the lines of a square grid on the latent plane, mapped to the data's plane.

    The grid covers [-radius, radius]^2, or for a uniform base the unit square without 0.1% at its ends.
    """
    low, high = (0.001, 0.999) if isinstance(flow.base, Uniform) else (-radius, radius)
    along = np.linspace(low, high, 601)
    for fixed in np.linspace(low, high, 25):
        for axis in (0, 1):
            line = np.full((len(along), 2), fixed, np.float32)
            line[:, axis] = along
            x = np.asarray(flow.inverse(params, jnp.asarray(line))[0])
            axes.plot(x[:, 0], x[:, 1], color=("tab:blue", "tab:orange")[axis], linewidth=0.6)
    axes.set(
        title=f"grid on [{low:g}, {high:g}]^2 of the latents",
        xlim=(limits[0][0], limits[1][0]),
        ylim=(limits[0][1], limits[1][1]),
        aspect=_aspect(*limits),
    )
    name_axes(axes, names)


def save_panel(points: np.ndarray, limits: tuple[Corner, Corner], names: Sequence[str], path: Path) -> None:
    """Draw points on the plane within limits, (lower left, upper right), in one small panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 0.4 + 4.0 * (relative_height(*limits) or 1)), layout="constrained")
    draw_points(figure.add_subplot(), points, "", limits, names)
    figure.savefig(path, dpi=120)


def save_density(grid: DensityGrid, path: Path, names: Sequence[str] = COORDINATES, title: str = "") -> None:
    """Draw a density on the plane."""
    from matplotlib.figure import Figure

    height = 1.2 + 4.2 * (relative_height(grid.low, grid.high) or 1)
    figure = Figure(figsize=(6.5, height), layout="compressed")
    draw_density(figure.add_subplot(), grid, f"density (integrates to {grid.mass:.4f})", names)
    write_title(figure, title)
    figure.savefig(path, dpi=150)


def save_latents(flow: Flow, params: Params, points: np.ndarray, path: Path, title: str = "") -> None:
    """Draw the latents of up to 10,000 points on the plane, coloured by their first coordinate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.5), layout="compressed")
    draw_latents(figure.add_subplot(), flow, params, points[:10_000])
    write_title(figure, title)
    figure.savefig(path, dpi=150)


def save_warped_grid(
    flow: Flow,
    params: Params,
    grid: DensityGrid,
    path: Path,
    names: Sequence[str] = COORDINATES,
    title: str = "",
) -> None:
    """Draw the warped grid within the limits of a density's picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.5), layout="compressed")
    draw_warped_grid(figure.add_subplot(), flow, params, (grid.low, grid.high), names=names)
    write_title(figure, title)
    figure.savefig(path, dpi=150)
