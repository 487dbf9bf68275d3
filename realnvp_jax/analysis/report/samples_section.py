"""Samples beside data, and at several temperatures."""

import numpy as np

from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Gallery, Picture, Section, Table, draw
from realnvp_jax.analysis.sampling import Clamping, to_pixels
from realnvp_jax.analysis.verdicts import Check, at_most
from realnvp_jax.models.flow import Flow
from realnvp_jax.plots.images import save_image_grid
from realnvp_jax.plots.plane import limits_of, save_panel
from realnvp_jax.plots.vectors import save_points

TEMPERATURES = (0.5, 0.7, 0.85, 1.0)
_IN_A_SMALL_GRID = 16


def samples_section(material: Material) -> Section:
    """Samples beside data, samples at several temperatures, and whether samples are usable values."""
    run = material.run
    checks, values = _range_checks(material)
    text = f"{material.num_samples:,} samples, drawn from the flow with a fixed seed."
    if run.flow.context_size:
        text += " Sample number i has the context of test example i."
    parts: list[Gallery | Table] = [Gallery(_beside_data(material, values), "Data beside samples")]
    if run.flow.base.has_scale:
        parts.append(Gallery(_temperatures(material), "Temperatures"))
        text += " The temperature is a factor on the standard deviation of the base distribution."
    else:
        text += " A uniform base has no temperature, so that there are samples at temperature 1 only."
    if not material.of_images:
        parts.append(_moments(material, values))
    return Section("Samples", text, checks, parts)


def _range_checks(material: Material) -> tuple[list[Check], np.ndarray]:
    """Checks of the samples at temperature 1, and these samples, as pixels if they are images."""
    flow, samples = material.run.flow, material.samples
    clamping = Clamping()
    values = samples if flow.levels is None else to_pixels(flow, samples, clamping)
    infinite = float((~np.isfinite(samples)).mean())
    checks = [
        at_most(
            "Samples are finite", 100 * infinite, 0, 0, "The share of sampled values that are NaN or infinite.", "%"
        )
    ]
    if flow.levels is not None:
        sentence = f"The share of sampled values that had to be clamped to the pixels 0 to {flow.levels - 1}."
        share = 100 * clamping.clamped / clamping.values
        checks.append(at_most("Samples are in the range of pixels", share, 3, 10, sentence, "%"))
    return checks, values


def _beside_data(material: Material, samples: np.ndarray) -> list[Picture]:
    levels, data = material.run.flow.levels, material.values(material.test)
    if levels is None:
        if data.shape[1] == 2:
            return [_points(material, data, "Test data."), _points(material, samples, "Samples at temperature 1.")]
        return [_corner(material, samples, "Test data and samples.")]
    images = data[: len(samples)]
    return [
        draw("Test images.", lambda path: save_image_grid(images, levels, path)),
        draw("Samples at temperature 1.", lambda path: save_image_grid(samples, levels, path)),
    ]


def _temperatures(material: Material) -> list[Picture]:
    flow = material.run.flow
    num = min(material.num_samples, _IN_A_SMALL_GRID) if material.of_images else material.num_samples
    drawn = {t: material.sample(num, t) for t in TEMPERATURES if t != 1} | {1.0: material.samples[:num]}
    if flow.levels is not None:
        return [_grid_at(flow, samples, temperature) for temperature, samples in drawn.items()]
    picture = _points if flow.event_shape == (2,) else _corner
    return [picture(material, samples, f"Temperature {temperature:g}.") for temperature, samples in drawn.items()]


def _points(material: Material, points: np.ndarray, caption: str) -> Picture:
    """Points on the plane, in the range of the test data."""
    limits, names = limits_of(material.test.x, margin=0.15), material.run.modelled_columns()
    return draw(caption, lambda path: save_panel(points, limits, names, path))


def _corner(material: Material, samples: np.ndarray, caption: str) -> Picture:
    """Samples over the test data, column by column and pair by pair."""
    data, names = material.values(material.test), material.run.modelled_columns()
    return draw(caption, lambda path: save_points(data, samples, names, path), is_wide=True)


def _grid_at(flow: Flow, samples: np.ndarray, temperature: float) -> Picture:
    assert flow.levels is not None
    images, levels = to_pixels(flow, samples, Clamping()), flow.levels
    return draw(f"Temperature {temperature:g}.", lambda path: save_image_grid(images, levels, path))


def _moments(material: Material, samples: np.ndarray) -> Table:
    data = material.values(material.test).astype(np.float64)
    rows = [
        (
            name,
            f"{data[:, i].mean():.4g}",
            f"{samples[:, i].mean(dtype=np.float64):.4g}",
            f"{data[:, i].std():.4g}",
            f"{samples[:, i].std(dtype=np.float64):.4g}",
        )
        for i, name in enumerate(material.run.modelled_columns())
    ]
    heading = ("column", "mean of data", "of samples", "standard deviation of data", "of samples")
    return Table(heading, rows, "Columns of data and samples")
