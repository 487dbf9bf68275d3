"""Titles and axis names of figures, drawn literally: a dollar sign does not start a formula."""

import textwrap
from collections.abc import Sequence
from typing import Any

COORDINATES = ("x1", "x2")  # names of the axes of points on the plane, if the columns have no names
LATENTS = ("z1", "z2")

_LETTERS_PER_INCH = 12  # of a title


def name_axes(axes: Any, names: Sequence[str], **text: Any) -> None:
    """Write the names of the horizontal and of the vertical axis; `text` is passed on to Matplotlib."""
    axes.set_xlabel(names[0], parse_math=False, **text)
    axes.set_ylabel(names[1], parse_math=False, **text)


def write_title(figure: Any, title: str) -> None:
    """Write the title of a whole figure, if there is one, in as many lines as its width needs."""
    if title:
        lines = textwrap.wrap(title, int(_LETTERS_PER_INCH * figure.get_figwidth()))
        figure.suptitle("\n".join(lines), fontsize=10, parse_math=False)
