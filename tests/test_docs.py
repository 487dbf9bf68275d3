"""The pages of the repository: links lead somewhere, configs exist, Python parses, and no page is left out."""

import re

import pytest

from tests.helpers import ROOT

PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "llms.txt",
    *(path for folder in ("docs", "results", "tests") for path in sorted((ROOT / folder).glob("**/*.md"))),
]
CONFIGS = {path.stem for path in (ROOT / "configs").glob("*.py")} - {"__init__", "default"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors that headings have on the repository's pages."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{page.name}: no {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: no heading for {link}"


@each_page
def test_python_parses(page):
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@each_page
def test_commands_name_configs_that_exist(page):
    for name in re.findall(r"realnvp train ([\w:./]+)", "".join(blocks(page, "bash"))):
        assert name.partition(":")[0] in CONFIGS or name.endswith(".py"), name
    for name in re.findall(r"configs/(\w+)\.py", page.read_text()):
        assert name in CONFIGS | {"default"}, name


def test_the_table_of_configs_is_complete():
    table = (ROOT / "docs" / "training.md").read_text().split("## The configs")[1].split("A config of your own")[0]
    named = {name for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)", row)}
    assert named == CONFIGS


def test_the_readme_has_two_commands_and_can_be_read_in_one_go():
    text = (ROOT / "README.md").read_text()
    for command in ("pip install -e . && python train.py", "pip install -e '.[test]' && python -m pytest"):
        assert f"```bash\n{command}\n```" in text
    assert len(text.splitlines()) <= 130


def test_no_page_is_left_out():
    pages = {str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("**/*.md")} - {
        "docs/contents.md",
        "docs/README.md",
    }
    pages |= {str(notebook.relative_to(ROOT)) for notebook in (ROOT / "notebooks").glob("*.ipynb")}
    contents = (ROOT / "docs" / "contents.md").read_text()
    listed = {
        "contents.md": set(re.findall(r"^(?:.+ <)?([\w./]+\.(?:md|ipynb))>?$", contents, re.MULTILINE)),
        "llms.txt": set(re.findall(r"\]\(([^)]+)\)", (ROOT / "llms.txt").read_text())),
    }
    listed["contents.md"] = {
        path.removeprefix("../") if path.startswith("../") else f"docs/{path}" for path in listed["contents.md"]
    }
    for name, paths in listed.items():
        assert pages <= paths, f"{name} lacks {sorted(pages - paths)}"
    assert all((ROOT / path).is_file() for path in listed["contents.md"])
