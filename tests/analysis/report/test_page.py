"""The page: complete in itself, escaped, and readable without colours."""

import html
import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from realnvp_jax.analysis.report.page import render
from realnvp_jax.analysis.report.section import Gallery, Picture, Section, Table, draw
from realnvp_jax.analysis.report.style import SHEET, WORDS
from realnvp_jax.analysis.verdicts import VERDICTS, Check, at_most, does_not_apply
from realnvp_jax.plots.images import save_image_grid
from tests.analysis.runs import pixels
from tests.helpers import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<script>alert('x')</script> & \"quotes\""


class Links(HTMLParser):
    """Everything on a page that may lead elsewhere, and its elements."""

    def __init__(self, page: str):
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "style"):
                self.found.append(value or "")
            if name == "id":
                self.ids.append(value or "")
            assert not name.startswith("on"), "an event handler"


def check_complete_in_itself(page: str) -> None:
    """Fail if a browser would request anything for the page, or run anything on it."""
    links = Links(page)
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(links.tags)
    for link in links.found:
        assert link.startswith(("data:", "#")), link[:100]
    assert {link[1:] for link in links.found if link.startswith("#")} <= set(links.ids)
    assert len(links.ids) == len(set(links.ids))
    assert "url(" not in page
    assert "@import" not in page


def picture(is_wide: bool = False) -> Picture:
    return draw(f"Images, {EVIL}", lambda path: save_image_grid(pixels(16, 8, 8, 1), 256, path), is_wide)


def page_of(text: str = EVIL) -> str:
    checks = [Check(f"{verdict}, {text}", "1 nats", f"at most 2; {text}", verdict, text) for verdict in VERDICTS]
    table = Table(("name", "value", text), [("a" * 200, "1.5", text), (text, "-2e-07", "3")], text)
    folded = Table(("key",), [(text,)], text, is_folded=True)
    gallery = Gallery([picture(), picture(is_wide=True)], text)
    return render(text, text, text, [Section(text, text, checks, [table, gallery, folded])], text)


def test_the_page_is_complete_in_itself():
    page = page_of()
    check_complete_in_itself(page)
    assert Links(page).tags.count("img") == 2


@pytest.mark.parametrize(
    "addition", ['<img src="https://example.org/a.png">', "<script></script>", '<a href="#nowhere">', "<b onload=a>"]
)
def test_a_page_that_is_not_is_found(addition):
    with pytest.raises(AssertionError):
        check_complete_in_itself(page_of().replace("</main>", f"{addition}</main>"))


def test_all_texts_are_escaped():
    page = page_of()
    assert "<script" not in page
    assert html.escape(EVIL) in page


def test_verdicts_are_told_in_words_and_shapes():
    page = page_of("text")
    for verdict in VERDICTS:
        assert f'<span class="word {verdict}">{WORDS[verdict]}</span>' in page
    signs = {part.partition("</svg>")[0].partition(">")[2] for part in page.split('<svg class="sign ')[1:]}
    assert len(signs) == len(VERDICTS)
    assert len(set(WORDS.values())) == len(VERDICTS)


def test_checks_that_did_not_pass_come_first():
    good, bad = at_most("good", 0, 1, 2, "Why."), at_most("bad", 3, 1, 2, "Why.")
    page = render("t", "s", "h", [Section("One", "", [good]), Section("Two", "", [does_not_apply("no", "x"), bad])], "")
    glance = page.split("<section")[1]
    assert "bad" in glance
    assert "good" not in glance
    assert "Every check that applies has passed." in render("t", "s", "h", [Section("One", "", [good])], "")


def test_a_large_picture_is_reduced():
    large = draw("noise", lambda path: save_image_grid(pixels(9, 256, 256, 3), 256, path))
    assert large.media_type == "image/webp"
    assert len(large.content) <= 300_000
    assert picture().media_type == "image/png"


def test_the_style_sheet_names_no_font_file_and_every_verdict():
    assert "font-face" not in SHEET
    for verdict in VERDICTS:
        assert f".sign.{verdict}" in SHEET


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_chromium_requests_nothing_and_needs_no_sideways_scrolling(tmp_path, width):
    found = in_chromium(page_of(), tmp_path, width)
    assert found["width"] == width
    assert found["overflow"] <= 0
    assert found["images"] == [True, True]
    assert found["requests"] == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_chromium_tells_of_a_request(tmp_path):
    foreign = "http://127.0.0.1:9/picture.png"  # the port that discards
    page = page_of().replace("</main>", f'<img src="{foreign}"></main>')
    assert in_chromium(page, tmp_path, 390)["requests"] == [foreign]


def in_chromium(page: str, folder, width: int) -> dict:
    """How Chromium shows a page in a frame of this width.

    Returns:
      The frame's width, the sideways overflow, whether each picture is shown, and the addresses that it asked for.
    """
    script = """
        const frame = document.querySelector("iframe");
        frame.onload = () => {
          const page = frame.contentDocument, root = page.documentElement;
          document.body.textContent = JSON.stringify({
            width: frame.contentWindow.innerWidth,
            overflow: root.scrollWidth - root.clientWidth,
            images: [...page.images].map((image) => image.naturalWidth > 0),
            requests: frame.contentWindow.performance.getEntriesByType("resource")
              .map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
          });
        };
        frame.src = "report.html";
    """
    frame = f'<iframe width="{width}" height="900" style="border: 0"></iframe><script>{script}</script>'
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "frame.html").write_text(f'<!DOCTYPE html><meta charset="utf-8"><body>{frame}', encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--allow-file-access-from-files",
        f"--user-data-dir={folder / 'profile'}",
        "--window-size=1400,1000",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ]
    command = [str(CHROMIUM), *options, (folder / "frame.html").as_uri()]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    return json.loads(html.unescape(printed.partition("<body>")[2].partition("</body>")[0]))
