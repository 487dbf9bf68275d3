"""Anomaly scores of standard counter-examples: what the density finds unusual, and what fools it."""

import math

from realnvp_jax.analysis.anomalies import aurocs, score_examples
from realnvp_jax.analysis.counter_examples import BLANK, BOX, NOISE, SHUFFLED, counter_images, counter_vectors
from realnvp_jax.analysis.report.material import Material
from realnvp_jax.analysis.report.section import Section, Table
from realnvp_jax.analysis.verdicts import Check, at_least, does_not_apply
from realnvp_jax.data.examples import Examples

_MOST = 1000
_SCORES = ("likelihood", "input complexity", "typicality")


def anomalies_section(material: Material) -> Section:
    """The area under the ROC curve of each score, for each kind of counter-examples."""
    run, test = material.run, material.test.first(_MOST)
    levels = run.flow.levels
    others = counter_vectors(test.x) if levels is None else counter_images(test.x, levels)
    inside = score_examples(run, test, material.reference)
    areas = {
        name: aurocs(inside, score_examples(run, Examples(x, test.context), material.reference))
        for name, x in others.items()
    }
    scores = [score for score in _SCORES if any(score in found for found in areas.values())]
    rows = [(name, *(f"{found[score]:.3f}" for score in scores)) for name, found in areas.items()]
    text = (
        f"The area under the ROC curve of {len(test):,} test examples against as many others: the probability that a "
        "score rates one of the others as more anomalous. 1 is perfect, 0.5 is chance, and below 0.5 the others look "
        "more normal than test data do. A high log-density alone does not mean that an example is normal."
    )
    heading = ("test data against", *scores)
    return Section("Counter-examples", text, _checks(areas), [Table(heading, rows)])


def _checks(areas: dict[str, dict[str, float]]) -> list[Check]:
    of_noise = areas[NOISE if NOISE in areas else BOX]["likelihood"]
    noise = at_least(
        "Noise is recognized by its likelihood",
        of_noise,
        0.95,
        0.8,
        "The area under the ROC curve against uniform values: a flow that has learned anything finds these unlikely.",
    )
    subtle = BLANK if BLANK in areas else SHUFFLED
    name = "Blank images do not fool the likelihood" if BLANK in areas else "Shuffled columns are recognized"
    if subtle not in areas:
        return [noise, does_not_apply(name, "A single column has no dependence that shuffling could remove.")]
    sentence = (
        "The area against blank images, which many flows find more likely than real ones: below the bound, use the "
        "other scores as well."
        if subtle == BLANK
        else "The area against data whose columns were shuffled: below the bound, the columns depend on each other too "
        "little, or the flow has not learned how."
    )
    return [noise, at_least(name, areas[subtle]["likelihood"], 0.9, -math.inf, sentence)]
