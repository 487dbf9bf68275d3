"""Pictures of a run: sample grids and curves of images; points, densities, latents and warped grids of vectors.

What starts with `draw_` draws into given Matplotlib axes, what starts with `save_` writes a PNG file.
"""

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from realnvp_jax.base import Base, Logistic, Uniform
from realnvp_jax.models.flow import Flow, Params

Corner = np.ndarray | tuple[float, float]
Axes = Any  # matplotlib.axes.Axes; Matplotlib is imported when a picture is drawn


def save_image_grid(
    images: UInt8[np.ndarray, "n height width channels"], levels: int, path: Path, columns: int | None = None
) -> None:
    """Write images as one PNG, in rows, small images enlarged without smoothing.

    Args:
      images: pixels in [0, levels), one channel or three.
      levels: number of values of a pixel; the highest is drawn white.
      path: the file.
      columns: images in a row; None for as many as there are rows.
    """
    from PIL import Image

    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    zoom = max(1, 64 // max(height, width))
    gap = 2
    canvas = np.full((rows * (height * zoom + gap) + gap, columns * (width * zoom + gap) + gap, 3), 96, np.uint8)
    scaled = np.round(images.astype(np.float64) * 255 / (levels - 1)).astype(np.uint8)
    scaled = np.broadcast_to(scaled[..., :3] if channels >= 3 else scaled[..., :1], (count, height, width, 3))
    for i, image in enumerate(scaled.repeat(zoom, axis=1).repeat(zoom, axis=2)):
        top = gap + (i // columns) * (height * zoom + gap)
        left = gap + (i % columns) * (width * zoom + gap)
        canvas[top : top + height * zoom, left : left + width * zoom] = image
    temporary = path.with_name(path.name + ".tmp")
    Image.fromarray(canvas).save(temporary, format="PNG")
    temporary.replace(path)


def save_curves(metrics: Path, path: Path, unit: str) -> None:
    """Draw the columns of a metrics.csv: training, and validation in both modes, over the steps."""
    from matplotlib.figure import Figure

    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    curves = (
        ("train", "training batches"),
        ("validation_train_mode", "validation, batch statistics"),
        ("validation", "validation"),
    )
    values = []
    for column, label in curves:
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            steps, scores = zip(*points, strict=True)
            axes.plot(steps, scores, label=label, marker="." if len(points) < 40 else None)
            values.extend(scores)
    finite = np.array([v for v in values if math.isfinite(v)])
    if finite.size:
        low, high = finite.min(), np.quantile(finite, 0.95)
        axes.set_ylim(low - 0.05 * (high - low) - 1e-6, high + 0.05 * (high - low) + 1e-6)
        axes.legend()
    axes.set_xlabel("step")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


_MAX_CORNER_COLUMNS = 8
_GRID_BATCH = 20_000


@dataclasses.dataclass(frozen=True)
class DensityGrid:
    """A density at the middles of the cells of a grid on the plane.

    Attributes:
      low: the lower left corner of the grid.
      high: its upper right corner.
      density: values, density[j, i] in row j (second coordinate) and column i (first coordinate).
    """

    low: np.ndarray
    high: np.ndarray
    density: Float[np.ndarray, "rows columns"]

    @property
    def mass(self) -> float:
        """Sum of density times area of a cell: 1 if the grid is fine and wide enough."""
        area = np.prod((self.high - self.low) / np.array(self.density.shape[::-1]))
        return float(self.density.sum(dtype=np.float64) * area)


def limits_of(points: Float[np.ndarray, "n 2"], margin: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """(lower left, upper right) of a rectangle around the points, wider by `margin` times its size on every side."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    return low - margin * (high - low), high + margin * (high - low)


def _relative_height(low: Corner, high: Corner) -> float | None:
    """Height of a rectangle by its width, or None where they are too unequal to be drawn to one scale."""
    width, height = np.subtract(high, low)
    return float(height / width) if 0.25 <= height / width <= 4 else None


def _aspect(low: Corner, high: Corner) -> str:
    return "auto" if _relative_height(low, high) is None else "equal"


def density_on_grid(
    flow: Flow, params: Params, low: np.ndarray, high: np.ndarray, num: int = 1000, context: Any = None
) -> DensityGrid:
    """exp(log_prob) of a flow over the plane on num x num cells; of a conditional flow under one context."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    middles = [low[i] + (np.arange(num) + 0.5) * (high[i] - low[i]) / num for i in range(2)]
    points = np.stack(np.meshgrid(*middles), axis=-1).reshape(-1, 2).astype(np.float32)
    missing = -len(points) % _GRID_BATCH
    batches = np.concatenate([points, points[:1].repeat(missing, axis=0)]).reshape(-1, _GRID_BATCH, 2)
    log_prob = np.concatenate([np.asarray(flow.log_prob(params, batch, context)) for batch in batches])
    return DensityGrid(low, high, np.exp(log_prob[: len(points)].astype(np.float64)).reshape(num, num))


def draw_points(axes: Axes, points: np.ndarray, title: str, limits: tuple[Corner, Corner]) -> None:
    """A scatter plot of points on the plane."""
    axes.scatter(points[:, 0], points[:, 1], s=2, alpha=min(1.0, 2000 / len(points)), linewidths=0)
    axes.set(
        title=title,
        xlim=(limits[0][0], limits[1][0]),
        ylim=(limits[0][1], limits[1][1]),
        aspect=_aspect(*limits),
    )


def draw_density(axes: Axes, grid: DensityGrid, title: str = "density") -> None:
    """The density with a colour bar."""
    extent = (grid.low[0], grid.high[0], grid.low[1], grid.high[1])
    image = axes.imshow(
        grid.density, origin="lower", extent=extent, cmap="viridis", aspect=_aspect(grid.low, grid.high)
    )
    axes.figure.colorbar(image, ax=axes, label="density")
    axes.set_title(title)


def draw_latents(axes: Axes, flow: Flow, params: Params, points: np.ndarray, colors: np.ndarray | None = None) -> None:
    """The latents of points, on a normal base with circles that hold 39 %, 86 % and 99 % of it."""
    z = np.asarray(flow.forward(params, points)[0])
    colors = points[:, 0] if colors is None else colors
    axes.scatter(z[:, 0], z[:, 1], c=colors, s=2, linewidths=0, cmap="coolwarm")
    if isinstance(flow.base, Uniform):
        axes.set(title="latents on the unit square", aspect="equal", xlim=(0, 1), ylim=(0, 1))
        return
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2, 3):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color="black", linewidth=0.7)
    axes.set(title="latents, circles at 1, 2, 3 deviations", aspect="equal", xlim=(-4.5, 4.5), ylim=(-4.5, 4.5))


def draw_warped_grid(
    axes: Axes, flow: Flow, params: Params, limits: tuple[Corner, Corner], radius: float = 3.0
) -> None:
    """The lines of a square grid on the latent plane as they lie in the data's plane.

    The grid reaches over [-radius, radius]^2, or over the unit square of a uniform base, less 0.1 % at its ends.
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


def save_points(data: np.ndarray, samples: np.ndarray, columns: Sequence[str], path: Path) -> None:
    """Data beside samples: two scatter plots of points on the plane, else a corner plot of the first columns."""
    from matplotlib.figure import Figure

    if data.shape[1] == 2:
        limits = limits_of(data, margin=0.15)
        figure = Figure(figsize=(10, 0.8 + 4.6 * (_relative_height(*limits) or 1)), layout="constrained")
        left, right = figure.subplots(1, 2)
        draw_points(left, data[: len(samples)], "data", limits)
        draw_points(right, samples, "samples", limits)
    else:
        figure = _corner(data[: len(samples)], samples, columns)
    figure.savefig(path, dpi=120)


def _corner(data: np.ndarray, samples: np.ndarray, columns: Sequence[str]) -> Any:
    from matplotlib.figure import Figure

    size = min(data.shape[1], _MAX_CORNER_COLUMNS)
    figure = Figure(figsize=(1.6 * size + 1, 1.6 * size + 1), layout="constrained")
    grid = figure.subplots(size, size, squeeze=False)
    low, high = np.quantile(data[:, :size].astype(np.float64), [0.005, 0.995], axis=0)
    low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
    for i in range(size):
        for j in range(size):
            axes = grid[i, j]
            if j > i:
                axes.axis("off")
                continue
            for values, color, label in ((samples, "tab:orange", "samples"), (data, "tab:blue", "data")):
                if i == j:
                    bins = np.linspace(low[i], high[i], 40)
                    axes.hist(values[:, i], bins=bins, density=True, histtype="step", color=color, label=label)
                else:
                    size_of_point = 1 if len(values) > 1000 else 4
                    axes.scatter(values[:, j], values[:, i], s=size_of_point, alpha=0.4, linewidths=0, color=color)
                    axes.set_ylim(low[i], high[i])
            axes.set_xlim(low[j], high[j])
            axes.tick_params(labelsize=6, labelbottom=i == size - 1, labelleft=j == 0 and i > 0)
            # names of columns are no formulas, whatever dollar signs they have
            axes.set_xlabel(columns[j] if i == size - 1 else "", fontsize=7, parse_math=False)
            axes.set_ylabel(columns[i] if j == 0 and i > 0 else "", fontsize=7, parse_math=False)
    grid[0, 0].legend(fontsize=6)
    return figure


def save_density(grid: DensityGrid, path: Path) -> None:
    """Draw a density on the plane."""
    from matplotlib.figure import Figure

    height = 1.2 + 4.2 * (_relative_height(grid.low, grid.high) or 1)
    figure = Figure(figsize=(6.5, height), layout="constrained")
    draw_density(figure.add_subplot(), grid, f"density (sums to {grid.mass:.4f})")
    figure.savefig(path, dpi=150)


def save_latents(flow: Flow, params: Params, points: np.ndarray, path: Path) -> None:
    """Draw the latents of up to 10,000 points on the plane, coloured by their first coordinate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    draw_latents(figure.add_subplot(), flow, params, points[:10_000])
    figure.savefig(path, dpi=150)


def save_warped_grid(flow: Flow, params: Params, grid: DensityGrid, path: Path) -> None:
    """Draw the warped grid in the limits of a density's picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5.5), layout="constrained")
    draw_warped_grid(figure.add_subplot(), flow, params, (grid.low, grid.high))
    figure.savefig(path, dpi=150)


def save_latent_distributions(groups: dict[str, np.ndarray], base: Base, path: Path) -> None:
    """Histogram and Q-Q plot of groups of latents against the base distribution, a row for each group.

    Args:
      groups: name -> values, any number of them.
      base: the distribution that they should have.
      path: the PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.4 + 3.0 * len(groups)), layout="constrained")
    rows = figure.subplots(len(groups), 2, squeeze=False)
    probabilities = (np.arange(500) + 0.5) / 500
    expected = base_quantiles(base, probabilities)
    low, high = min(expected[0], 0.0), max(expected[-1], 1.0)
    line = np.linspace(low, high, 400)
    density = np.exp(np.asarray(base.log_density(jnp.asarray(line, jnp.float32))))
    for (name, values), (left, right) in zip(groups.items(), rows, strict=True):
        left.hist(
            values.ravel(), bins=np.linspace(low - 0.5, high + 0.5, 80), density=True, color="tab:blue", alpha=0.6
        )
        left.plot(line, density, color="black", linewidth=1)
        left.set(title=f"{name}: {values.size:,} latents", ylabel="density")
        right.plot(expected, np.quantile(values.astype(np.float64), probabilities), color="tab:blue")
        right.plot([low, high], [low, high], color="black", linewidth=1, linestyle="--")
        right.set(title="Q-Q", xlabel="quantile of the base", ylabel="quantile of the latents")
    figure.savefig(path, dpi=120)


def base_quantiles(base: Base, probabilities: np.ndarray) -> np.ndarray:
    """Values below which a base distribution has the given probabilities."""
    from scipy.special import logit, ndtri

    if isinstance(base, Uniform):
        return probabilities
    return logit(probabilities) if isinstance(base, Logistic) else ndtri(probabilities)
