"""`realnvp`: the commands."""

import difflib
import importlib
from pathlib import Path

import click

from realnvp_jax.cli import common
from realnvp_jax.runs.python_files import import_file
from realnvp_jax.runs.signals import StopRequest
from realnvp_jax.text import shorten

_COMMANDS = {
    "train": "Train a flow from a config, or resume a run.",
    "configs": "List the configs that ship, with the expected results.",
    "evaluate": "Bits/dim of images or nats of vectors on a split, with its standard error.",
    "sample": "Draw any number of samples.",
    "reconstruct": "Round-trip errors data -> latents -> data by layer; compare latents with the base.",
    "interpolate": "Interpolate between examples; resample fine scales; draw the paper's manifold.",
    "score": "Anomaly and out-of-distribution scores of images, arrays or tables.",
    "compress": "Compress images without loss, by the flow's own likelihood.",
    "decompress": "The images in a file that compress wrote, bit for bit.",
    "publish": "Write a run's flow as a folder to share: parameters, model card, StableHLO and ONNX functions.",
    "report": "Check a flow and write one page about it: is it exact, does it fit, does it copy?",
    "show": "Describe what a workdir holds.",
    "data": "Describe the images of a data set, a folder or a file.",
}


class _Commands(click.Group):
    """Commands whose modules are imported only when they are used, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command."""
        if cmd_name not in _COMMANDS:
            return None
        return importlib.import_module(f"realnvp_jax.cli.{cmd_name}").main

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; a misspelt one gets a hint."""
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], _COMMANDS, n=1)
            hint = f": did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"expected one of the commands {', '.join(_COMMANDS)}; got {shorten(args[0])}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


_EXAMPLES = """\b
Examples:
  realnvp train digits
  realnvp evaluate -w runs/digits
  realnvp sample -w runs/digits --num 100 --temperature 0.8
  realnvp score -w runs/digits photographs/
  realnvp --import examples/own_parts.py sample -w runs/own_parts
"""


@click.command(
    cls=_Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="realnvp-jax")
@click.option(
    "--import",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Python file that registers your own parts; may be repeated.",
)
@common.in_one_sentence
def main(files: tuple[Path, ...]) -> None:
    """Train flows, and use those of finished or unfinished runs.

    `train` writes a workdir, such as runs/digits; all other commands but `configs` and `data` open one with --workdir.
    Their output goes to the folder analysis of the workdir unless --output says otherwise, with a .json file beside it
    that says how it was made. Nothing is overwritten without --overwrite.
    """
    if click.get_current_context().invoked_subcommand != "train":
        StopRequest.end()  # the other commands have nothing to save
    from realnvp_jax.compilation_cache import enable_compilation_cache

    enable_compilation_cache()
    for file in files:
        import_file(file)
