"""The report as one HTML file: pictures are data URIs, the style is inline, and nothing is requested from elsewhere."""

import base64
import re
from collections.abc import Sequence
from html import escape
from string import Template

from realnvp_jax.analysis.report.section import Gallery, Picture, Section, Table
from realnvp_jax.analysis.report.style import SHEET, WORDS, sign
from realnvp_jax.analysis.verdicts import VERDICTS, Check, Verdict

_LONG = 40  # letters of a cell that may be broken into lines
_NUMBER = re.compile(r"[-+]?[\d,.]+(e[-+]?\d+)?%?|nan|[-+]?inf")

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<link rel="icon" href="data:,">
<style>$sheet</style>
</head>
<body>
<header>
<h1>$title</h1>
<p class="soft">$subtitle</p>
<p class="headline">$headline</p>
<ul class="counts">$counts</ul>
<nav aria-label="Sections"><ul>$links</ul></nav>
</header>
<main>
$sections
</main>
<footer><p class="soft">$footer</p></footer>
</body>
</html>
""")

_CHECK = Template("""\
<li>$sign<div class="name">$name <span class="word $verdict">$word</span></div>
<div class="what">$sentence</div>
<div class="value">$value</div></li>
""")


def render(title: str, subtitle: str, headline: str, sections: Sequence[Section], footer: str) -> str:
    """The page. All texts are plain; they are escaped here.

    Args:
      title: what the report is about.
      subtitle: one line about the model and the data.
      headline: the result.
      sections: the sections, in order. The first one shown is a list of the checks that did not pass.
      footer: the last line.
    """
    checks = [check for section in sections for check in section.checks]
    counts: dict[Verdict, int] = {verdict: sum(check.verdict == verdict for check in checks) for verdict in VERDICTS}
    urgent = [check for verdict in ("red", "amber") for check in checks if check.verdict == verdict]
    text = "" if urgent else "Every check that applies has passed."
    shown = [Section("At a glance", text, urgent), *sections]
    return _PAGE.substitute(
        title=escape(title),
        sheet=SHEET,
        subtitle=escape(subtitle),
        headline=escape(headline),
        counts="".join(_count(name, count) for name, count in counts.items()),
        links="".join(
            f'<li><a href="#{_anchor(number)}">{escape(section.title)}</a></li>' for number, section in enumerate(shown)
        ),
        sections="\n".join(_section(number, section) for number, section in enumerate(shown)),
        footer=escape(footer),
    )


def _count(verdict: Verdict, count: int) -> str:
    kind = "" if count else ' class="zero"'
    return f"<li{kind}>{sign(verdict)} {count} {WORDS[verdict]}</li>"


def _anchor(number: int) -> str:
    return f"section-{number}"


def _section(number: int, section: Section) -> str:
    parts = [f'<section id="{_anchor(number)}"><h2>{escape(section.title)}</h2>']
    if section.text:
        parts.append(f"<p>{escape(section.text)}</p>")
    if section.checks:
        parts.append(f'<ul class="checks">{"".join(map(_check, section.checks))}</ul>')
    parts += [_table(part) if isinstance(part, Table) else _gallery(part) for part in section.parts]
    return "\n".join([*parts, "</section>"])


def _check(check: Check) -> str:
    value = ""
    if check.value:
        bounds = escape(f"bound: {check.bound}").replace("; ", ";</span> <span>")
        value = f'<b>{escape(check.value)}</b><div class="bound"><span>{bounds}</span></div>'
    return _CHECK.substitute(
        sign=sign(check.verdict),
        name=escape(check.name),
        verdict=check.verdict,
        word=WORDS[check.verdict],
        sentence=escape(check.sentence),
        value=value,
    )


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True)) if table.rows else [() for _ in table.heading]
    is_number = [bool(column) and all(_NUMBER.fullmatch(cell) for cell in column) for column in columns]

    def cell(tag: str, text: str, number: bool) -> str:
        kind = ' class="number"' if number else ' class="long"' if len(text) > _LONG else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    head = "".join(cell("th", text, number) for text, number in zip(table.heading, is_number, strict=True))
    body = "".join(
        f"<tr>{''.join(cell('td', text, number) for text, number in zip(row, is_number, strict=True))}</tr>"
        for row in table.rows
    )
    box = f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    if table.is_folded:
        return f"<details><summary>{escape(table.title)}</summary>{box}</details>"
    return f"<h3>{escape(table.title)}</h3>{box}" if table.title else box


def _gallery(gallery: Gallery) -> str:
    title = f"<h3>{escape(gallery.title)}</h3>" if gallery.title else ""
    return f'{title}<div class="pictures">{"".join(map(_picture, gallery.pictures))}</div>'


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.content).decode("ascii")
    caption = escape(picture.caption)
    kind = ' class="wide"' if picture.is_wide else ""
    return (
        f'<figure{kind}><div class="frame"><img src="data:{picture.media_type};base64,{content}" alt="{caption}"></div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
