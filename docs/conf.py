"""The documentation site. From the root of the repository: `sphinx-build -W -c docs . site`.

The root of the repository is Sphinx's source directory, so that the pages, the notebooks, the records of the results
and the source files that the pages link to keep the places, and the links, that they have in the repository.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from sphinx.domains.python import PyObject
from sphinx.parsers import Parser

import realnvp_jax

ROOT = Path(__file__).parent.parent

# MathJax as a single file without fonts, from a package, so that a page needs nothing from elsewhere
MATHJAX = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax/tex-svg-full.js"

project = "realnvp_jax"
author = copyright = "the realnvp_jax authors"
version = release = realnvp_jax.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
root_doc = "docs/README"
exclude_patterns = ["docs/contents.md"]


def linked_sources(pages: list[Path]) -> list[str]:
    """The Python files that the pages link to; each becomes a page of the site."""
    links = {page.parent / link for page in pages for link in re.findall(r"\]\(([^)#:]+\.py)\)", page.read_text())}
    return sorted(os.path.relpath(link, ROOT) for link in links)


_PAGES = [path for pattern in ("*.md", "docs/**/*.md", "results/*/*.md", "tests/*/*.md") for path in ROOT.glob(pattern)]
include_patterns = [os.path.relpath(path, ROOT) for path in _PAGES] + ["notebooks/*.ipynb", *linked_sources(_PAGES)]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".py": "python"}

myst_enable_extensions = ["dollarmath", "html_image", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
next(field for field in PyObject.doc_field_types if field.name == "variable").label = "Attributes"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = "sphinx_book_theme"
html_title = "realnvp_jax"
html_static_path = ["_static", str(MATHJAX)]
mathjax_path = MATHJAX.name
mathjax3_config = {"tex": {"packages": {"[+]": ["textmacros"]}}}  # for \\_ within \\texttt
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]
html_copy_source = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
}


class SourceFile(Parser):
    """A Python file as a page: its name, and its text. The search looks for words in pages, not in code."""

    supported = ("python",)

    def parse(self, inputstring, document):
        """Add the page to the document."""
        environment = document.settings.env
        name = environment.docname + ".py"
        environment.metadata[environment.docname].update(orphan=True, nosearch=True)
        section = nodes.section(ids=[nodes.make_id(name)], names=[name])
        section += nodes.title(text=name)
        section += nodes.literal_block(inputstring, inputstring, language="python")
        document += section


def add_contents(app, docname, source):
    """Append the table of contents of the site to its first page, which the repository shows without it."""
    if docname == root_doc:
        source[0] += "\n" + (ROOT / "docs" / "contents.md").read_text()


def read_as_plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: characters such as those of (*batch, K) and |det| are no markup, and formulas stay."""
    plain = []
    for line in lines:
        is_formula = line.startswith("    ") and bool(plain) and not plain[-1]
        if is_formula and not plain[-2].startswith(" "):
            plain += ["::", ""]
        if not is_formula:
            line = "".join(
                part if part.startswith("`") else re.sub(r"[*|]|_(?!\w)", r"\\\g<0>", part)
                for part in re.split("(`[^`]*`)", line)
            )
        plain.append(line)
    lines[:] = plain


def shorten_signature(app, what, name, obj, options, signature, annotation):
    """Types by the names that the code has for them, and without the two arguments that Flax adds to every module."""

    def shorten(text):
        text = re.sub(r"(?:\w+\.)*_Buffer \|.*?_NestedSequence\[complex \| bytes \| str\]", "ArrayLike", text)
        return re.sub(r"(?:\w+\.)+Array\b", "Array", text)

    if signature:
        signature = re.sub(r"(, |(?<=\())(parent|name): .*?(?=, \w+: |\)$)", "", signature)
    return signature and shorten(signature), annotation and shorten(annotation)


def write_demonstration(app, exception):
    """Write the page on which one drags latents, which is not made of a source of Sphinx."""
    if exception is None:
        build = str(ROOT / "docs" / "demo" / "build.py")
        subprocess.run([sys.executable, build, str(Path(app.outdir) / "demo.html")], check=True)


def setup(app):
    """Connect what is defined here."""
    app.add_source_parser(SourceFile)
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", read_as_plain_text, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("build-finished", write_demonstration)
