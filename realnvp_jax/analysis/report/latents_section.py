"""Histograms and Q-Q plots of the latents of test data against the base distribution."""

import numpy as np

from realnvp_jax.analysis.latent_fit import distance_by_chance, distance_from_base
from realnvp_jax.analysis.latent_scales import latent_groups
from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Gallery, Picture, Section, Table, draw
from realnvp_jax.analysis.verdicts import at_most
from realnvp_jax.base import Base
from realnvp_jax.plots.vectors import save_latent_distributions


def latents_section(material: Material) -> Section:
    """Histograms and Q-Q plots of the latents of each scale."""
    flow, latents = material.run.flow, material.round_trip.latents
    groups = latent_groups(flow, latents)
    chance = distance_by_chance(len(latents))
    checks = [
        at_most(
            f"Latents follow the base: {name}",
            distance_from_base(values, flow.base),
            0.05 + chance,
            0.1 + chance,
            "The largest difference in cumulative probability between the latents of test data and the base "
            "distribution, 0 to 1: a large one means that the flow does not fit these data. Both bounds include "
            f"{chance:.2g}, which {len(latents):,} draws from the base itself exceed in 1% of all cases.",
        )
        for name, values in groups.items()
    ]
    rows = [
        (name, f"{values.size:,}", *(f"{v:.3f}" for v in (values.mean(), values.std(), values.min(), values.max())))
        for name, values in groups.items()
    ]
    heading = ("latents", "number", "mean", "standard deviation", "lowest", "highest")
    text = f"The latents of {len(latents):,} test examples beside the base distribution, {type(flow.base).__name__}."
    pictures = [_picture(name, values, flow.base) for name, values in groups.items() if np.isfinite(values).all()]
    return Section(
        "Latents", text, checks, [Table(heading, rows), Gallery(pictures)] if pictures else [Table(heading, rows)]
    )


def _picture(name: str, values: np.ndarray, base: Base) -> Picture:
    caption = (
        f"Latents, {name}: the histogram with the density of the base (black), and quantiles against quantiles, which "
        "agree on the dashed line."
    )
    return draw(caption, lambda path: save_latent_distributions({name: values}, base, path, is_narrow=True))
