"""The looks of the report: its style sheet, and the signs of the verdicts.

A verdict is told three times: by a word, by the shape of its sign, and by a colour. Fonts are the system's.
"""

from realnvp_jax.analysis.verdicts import Verdict

WORDS: dict[Verdict, str] = {"red": "failed", "amber": "take a look", "green": "passed", "none": "does not apply"}

_OCTAGON, _TRIANGLE, _CIRCLE = "M7 1h10l6 6v10l-6 6H7l-6-6V7z", "M12 1.5 23.5 22.5H.5z", "M12 1a11 11 0 1 0 .01 0z"
_SHAPES: dict[Verdict, tuple[str, str]] = {  # the outline, and the mark inside it
    "red": (_OCTAGON, "M8 8l8 8M16 8l-8 8"),
    "amber": (_TRIANGLE, "M12 9v6M12 18v1.2"),
    "green": (_CIRCLE, "M6.5 12.5l4 4 7-8"),
    "none": (_CIRCLE, "M7 12h10"),
}


def sign(verdict: Verdict) -> str:
    """The sign of a verdict, as SVG. The word stands beside it, so that readers of the page's text skip the sign."""
    outline, mark = _SHAPES[verdict]
    return (
        f'<svg class="sign {verdict}" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">'
        f'<path class="outline" d="{outline}"/><path class="mark" d="{mark}"/></svg>'
    )


SHEET = """
:root { color-scheme: light; --text: #1c2128; --soft: #57606a; --line: #d8dee4; --page: #f6f8fa; --box: #fff;
  --red: #b3261e; --amber: #8f5a00; --green: #1a6b34; --none: #57606a; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; }
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 8px; }
h3 { font-size: 1rem; margin: 20px 0 6px; }
p { margin: 0 0 10px; max-width: 75ch; text-wrap: pretty; }
.soft { color: var(--soft); overflow-wrap: anywhere; }
.headline { font-size: 1.35rem; font-weight: 600; margin: 14px 0 0; font-variant-numeric: tabular-nums; }
.counts { display: flex; flex-wrap: wrap; gap: 8px 20px; list-style: none; margin: 16px 0; padding: 0; }
.counts li { display: flex; align-items: center; gap: 6px; font-weight: 600; }
.counts .zero { opacity: .45; }
nav ul { display: flex; flex-wrap: wrap; gap: 6px 16px; list-style: none; padding: 0; margin: 0 0 20px; }
a { color: #0b57a4; }
section { background: var(--box); border: 1px solid var(--line); border-radius: 10px; padding: 20px; margin: 0 0 18px; }
.checks { list-style: none; margin: 12px 0 4px; padding: 0; border-top: 1px solid var(--line); }
.checks li { display: grid; grid-template-columns: 22px minmax(0, 1fr) minmax(0, 19rem); gap: 2px 12px;
  grid-template-rows: auto 1fr; padding: 10px 0; border-bottom: 1px solid var(--line); }
.checks .name { font-weight: 600; }
.checks .what { grid-column: 2; color: var(--soft); font-size: .92rem; }
.checks .value { grid-column: 3; grid-row: 1 / span 2; text-align: right; font-variant-numeric: tabular-nums; }
.checks .value b { display: block; }
.checks .bound { color: var(--soft); font-size: .85rem; }
.checks .bound span { display: inline-block; }
.word { font-size: .85rem; font-weight: 600; white-space: nowrap; }
.word.red { color: var(--red); } .word.amber { color: var(--amber); }
.word.green { color: var(--green); } .word.none { color: var(--none); }
.sign { flex: none; margin-top: 1px; }
.sign .mark { fill: none; stroke: #fff; stroke-width: 2.6; stroke-linecap: round; stroke-linejoin: round; }
.sign.red .outline { fill: var(--red); } .sign.amber .outline { fill: #ffbf3f; stroke: var(--amber); }
.sign.amber .mark { stroke: #3d2600; } .sign.green .outline { fill: var(--green); }
.sign.none .outline { fill: #fff; stroke: var(--none); stroke-width: 1.6; } .sign.none .mark { stroke: var(--none); }
.scroll { overflow: auto; max-height: 28rem; border: 1px solid var(--line); border-radius: 6px; margin: 8px 0 14px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; }
td.long { white-space: normal; min-width: 22rem; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; }
thead th { position: sticky; top: 0; background: var(--page); }
tbody tr:last-child > * { border-bottom: 0; }
tbody th { font-weight: 500; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); gap: 16px;
  align-items: start; margin: 14px 0 6px; }
.pictures .wide { grid-column: 1 / -1; }
figure { margin: 0; min-width: 0; }
figure .frame { overflow-x: auto; }
figure img { display: block; max-width: min(100%, 680px); height: auto; border-radius: 4px; }
figure.wide img { max-width: 100%; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: 6px; }
summary { cursor: pointer; font-weight: 600; margin: 14px 0 6px; }
footer { padding-bottom: 40px; font-size: .9rem; }
@media (max-width: 640px) {
  main, header, footer { padding-left: 12px; padding-right: 12px; }
  h1 { font-size: 1.4rem; }
  section { padding: 14px; border-radius: 8px; }
  .checks li { grid-template-columns: 22px minmax(0, 1fr); }
  .checks li { grid-template-rows: auto; }
  .checks .what { grid-row: 3; }
  .checks .value { grid-column: 2; grid-row: 2; text-align: left; }
  figure.wide img { max-width: none; width: 620px; }
}
@media print { body { background: #fff; } section { break-inside: avoid; border: 0; } .scroll { max-height: none; } }
"""
