"""A report from a run: its sections, one after the other, and the page."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence

from realnvp_jax.analysis.report.anomalies_section import anomalies_section
from realnvp_jax.analysis.report.copies_section import copies_section
from realnvp_jax.analysis.report.exactness_section import exactness_section
from realnvp_jax.analysis.report.latents_section import latents_section
from realnvp_jax.analysis.report.material import Material, gather
from realnvp_jax.analysis.report.page import render
from realnvp_jax.analysis.report.provenance_section import curves_section, provenance_section
from realnvp_jax.analysis.report.result_section import result_section
from realnvp_jax.analysis.report.samples_section import samples_section
from realnvp_jax.analysis.report.section import Section, Table
from realnvp_jax.analysis.run import Run
from realnvp_jax.analysis.verdicts import Check, failed
from realnvp_jax.text import sentence

_SECTIONS: dict[str, Callable[[Material], Section]] = {
    "Result": result_section,
    "Exactness": exactness_section,
    "Latents": latents_section,
    "Samples": samples_section,
    "Is it copying?": copies_section,
    "Counter-examples": anomalies_section,
    "Training": curves_section,
}

_FOLDERS = re.compile(r"""(?<![\w./:])~?/([^/\s'"]+/)+""")  # of a path in an error, which may be private


@dataclasses.dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
      html: the page.
      checks: all checks, in the order of the page.
      num: number of test examples that were used.
    """

    html: str
    checks: Sequence[Check]
    num: int


def make_report(run: Run, command: str, *, num: int | None = None) -> Report:
    """Measure a run's flow and write the page.

    A section whose computation fails, on NaN or for lack of memory, becomes a failed check with the reason.

    Args:
      run: the run.
      command: the command that makes the report, for the page.
      num: number of test examples; None for 200 images or 10,000 vectors.

    Raises:
      ValueError: the run's data no longer exist, or have changed.
    """
    material = gather(run, num)
    sections = [_made(title, make, material) for title, make in _SECTIONS.items()]
    provenance = functools.partial(provenance_section, command=command)
    sections.append(_made("How it was made", provenance, material))
    model, data = run.config.model.name, run.config.dataset.name
    average = ", averaged parameters" if run.ema else ""
    html = render(
        f"Report on {run.workdir.resolve().name}",
        f"{model} of {data}, step {run.step:,}{average}; {material.num:,} test examples",
        _headline(sections[0]),
        sections,
        "The page is complete in itself: it requests nothing from elsewhere.",
    )
    return Report(html, [check for section in sections for check in section.checks], material.num)


def _made(title: str, make: Callable[[Material], Section], material: Material) -> Section:
    try:
        return make(material)
    except Exception as error:  # one section should not cost the reader the others
        reason = _FOLDERS.sub("", sentence(error))
        return Section(title, "", [failed(f"The section {title!r} is complete", reason)])


def _headline(result: Section) -> str:
    """The test result, from the first row of its table."""
    for part in result.parts:
        if isinstance(part, Table):
            (_, unit, _, _), (name, mean, error, _) = part.heading, part.rows[0]
            return f"{name}: {mean} ± {error} {unit}"
    return "no result"
