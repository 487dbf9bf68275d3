"""`realnvp configs`."""

import textwrap
from pathlib import Path

import click

from realnvp_jax.cli import common

_EXAMPLES = """\b
Examples:
  realnvp configs
  realnvp configs digits > mine.py
  realnvp train mine.py
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False)
@common.in_one_sentence
def main(name: str | None) -> None:
    """List the shipped configs with the result to expect, or print the file of one, as a start for your own."""
    from realnvp_jax.runs.named_configs import documentation, find_config, shipped

    if name is not None:
        click.echo(Path(find_config(name).path).read_text(encoding="utf-8"), nl=False)
        return
    files = shipped()
    width = max(map(len, files)) + 2
    for config, path in files.items():
        for i, text in enumerate(filter(None, documentation(path))):
            lines = textwrap.wrap(text, 110 - width)
            for j, line in enumerate(lines):
                click.echo(f"{config if i == j == 0 else '':<{width}}{line}")
