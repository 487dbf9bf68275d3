"""The parts of a report, without their looks: sections of checks, tables and pictures."""

import dataclasses
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from realnvp_jax.analysis.verdicts import Check

_MOST_BYTES = 300_000  # of a picture; a larger one is reduced
_WIDTH = 1024


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      heading: names of the columns.
      rows: the cells, as text.
      title: what the table holds; "" for none.
      is_folded: whether the reader has to open it.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    is_folded: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
      content: the bytes of a PNG or WebP file.
      caption: what the picture shows.
      is_wide: whether it needs the whole width of the page on a desk.
    """

    content: bytes
    caption: str
    is_wide: bool = False

    @property
    def media_type(self) -> str:
        """The type of the file, such as image/png."""
        return "image/png" if self.content.startswith(b"\x89PNG") else "image/webp"


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as many in a row as there is room for.

    Attributes:
      pictures: the pictures.
      title: what they show together; "" for none.
    """

    pictures: Sequence[Picture]
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
      title: its heading.
      text: one or two sentences that introduce it.
      checks: the checks that belong to it.
      parts: tables and pictures, in order.
    """

    title: str
    text: str = ""
    checks: Sequence[Check] = ()
    parts: Sequence[Table | Gallery] = ()


def draw(caption: str, save: Callable[[Path], object], is_wide: bool = False) -> Picture:
    """The picture that `save` writes to the PNG file whose path it gets. A large one is made smaller."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "picture.png"
        save(path)
        content = path.read_bytes()
    return Picture(content if len(content) <= _MOST_BYTES else _reduced(content), caption, is_wide)


def _reduced(content: bytes) -> bytes:
    """A picture of at most _WIDTH pixels in width and _MOST_BYTES in size, as WebP."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        picture = image.convert("RGB")
    width = _WIDTH
    while True:
        picture.thumbnail((width, 4 * width))
        file = io.BytesIO()
        picture.save(file, format="WebP", quality=80)
        if file.tell() <= _MOST_BYTES:
            return file.getvalue()
        width = 3 * min(width, picture.width) // 4
