"""Is the flow copying its training data, and do the splits share examples? Distances to nearest neighbours."""

import numpy as np

from realnvp_jax.analysis.neighbours import found_in, nearest, repeated
from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Gallery, Picture, Section, draw
from realnvp_jax.analysis.round_trip import standard_deviations
from realnvp_jax.analysis.sampling import Clamping, to_pixels
from realnvp_jax.analysis.verdicts import Check, at_least, at_most, does_not_apply
from realnvp_jax.plots.distances import save_distances
from realnvp_jax.plots.images import save_image_grid

_MOST = 1000  # samples and test examples whose neighbours are looked for
_PAIRS = 16
_COPIES = "Samples are not copies of training examples"


def copies_section(material: Material) -> Section:
    """Nearest training neighbours of samples and of test examples, and equal rows of the splits."""
    copying, pictures = _copying(material)
    checks = [copying, *_duplicates(material)]
    what = "pixel values" if material.of_images else "standard deviations of the columns"
    text = (
        f"The distance of each sample to the nearest of {len(material.train):,} training examples, in {what}, beside "
        "that of test examples. A flow that copies puts its samples much closer than test examples are."
    )
    return Section("Is it copying?", text, checks, [Gallery(pictures)] if pictures else [])


def _copying(material: Material) -> tuple[Check, list[Picture]]:
    run, train = material.run, material.values(material.train)
    samples = material.samples[:_MOST]
    samples = samples[np.isfinite(samples).reshape(len(samples), -1).all(axis=1)]
    if not len(samples):
        return does_not_apply(_COPIES, "No sample is finite."), []
    if run.flow.levels is not None:
        samples = to_pixels(run.flow, samples, Clamping())
    test = material.values(material.test)[:_MOST]
    unit = 1.0 if material.of_images else standard_deviations(train)
    (nearest_train, distances), (_, of_test) = (
        nearest(rows.reshape(len(rows), -1), train.reshape(len(train), -1), unit) for rows in (samples, test)
    )
    typical = float(np.median(of_test))
    pictures = [
        draw(
            "Distances to the nearest training example, of samples and of test examples.",
            lambda path: save_distances(distances, of_test, path),
        )
    ]
    if run.flow.levels is not None:
        levels, closest = run.flow.levels, np.argsort(distances)[:_PAIRS]
        pairs = np.stack([samples[closest], train[nearest_train[closest]]], axis=1)
        pairs = pairs.reshape(-1, *pairs.shape[2:])
        caption = "The samples that are nearest to training examples, each with its neighbour to the right, framed."
        framed = range(1, len(pairs), 2)
        pictures.append(draw(caption, lambda path: save_image_grid(pairs, levels, path, 8, framed=framed)))
    if typical == 0:
        return does_not_apply(_COPIES, "Most test examples equal a training example, so distances say nothing."), (
            pictures
        )
    sentence = (
        "The median distance of samples to the nearest training example, divided by that of test examples: near 1 for "
        "samples like new data, near 0 for copies."
    )
    return at_least(_COPIES, float(np.median(distances)) / typical, 0.5, 0.2, sentence), pictures


def _duplicates(material: Material) -> list[Check]:
    run = material.run
    test, train = _rows(material, run.split("test")), _rows(material, run.split("train"))
    all_on_grids = not material.of_images and set(run.modelled_columns()) <= set(run.grids())
    red = 100.0 if all_on_grids else 1.0
    grids = " All columns are discrete, so that equal rows need not be the same example." if all_on_grids else ""
    return [
        at_most(
            "Test examples are not in the training split",
            100 * float(found_in(test, train).mean()),
            0,
            red,
            f"The share of the {len(test):,} test examples that equal a training example: the test result does not "
            f"tell about new data if there are many.{grids}",
            "%",
        ),
        at_most(
            "Training examples are not repeated",
            100 * float(repeated(train).mean()),
            0,
            red if all_on_grids else 5.0,
            f"The share of the {len(train):,} training examples that equal an earlier one.{grids}",
            "%",
        ),
    ]


def _rows(material: Material, examples) -> np.ndarray:
    """Whole examples as rows; those of a table include their context."""
    values = material.values(examples)
    if material.of_images or examples.context is None:
        return values
    return np.concatenate([values, examples.context], axis=1)
