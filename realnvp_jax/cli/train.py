"""`realnvp train`, and `train.py` of a checkout: flags, one-sentence errors, and exit codes."""

import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import click

from realnvp_jax.cli.common import command_line, escape_in_console
from realnvp_jax.runs.signals import InterruptedRunError, StopRequest

_DEFAULT = "digits"
_ONE_DASH = re.compile(
    r"^-(?=(?:no)?config\b|workdir\b|seeds\b|coordinator\b|num[_-]processes\b|process[_-]id\b|traceback\b|help\b)"
)


class _Train(click.Command):
    """A command whose help ends with every config key."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options take one dash as well as two: -config.seed=1 is not -c, -o, -n and so on."""
        return super().parse_args(ctx, [_ONE_DASH.sub("--", argument) for argument in args])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The config keys."""
        from realnvp_jax.configs.default import KEYS

        indent = " " * (max(map(len, KEYS)) + 13)
        formatter.write("\nConfig keys, their meanings, and their defaults (CONFIG overrides some of them):\n\n")
        for key, (value, meaning) in KEYS.items():
            start = f"  --config.{key} ".ljust(len(indent))
            lines = textwrap.wrap(f"{meaning} [{value!r}]", 120, initial_indent=start, subsequent_indent=indent)
            formatter.write("\n".join([*lines, ""]))


@click.command(
    cls=_Train,
    context_settings={
        "ignore_unknown_options": True,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[CONFIG] [--config.KEY=VALUE ...]")
@click.option("--config", metavar="CONFIG", help="Another way to give CONFIG.")
@click.option("-w", "--workdir", default="", help="Directory of the run. [default: runs/<name of the config>]")
@click.option("--seeds", metavar="N,N,...", help="Train once with each seed, in workdir/seed_N.")
@click.option("--coordinator", metavar="HOST:PORT", help="Address of process 0 of several (see docs/clusters.md).")
@click.option("--num_processes", "--num-processes", type=click.IntRange(min=1), help="Number of processes.")
@click.option("--process_id", "--process-id", type=click.IntRange(min=0), help="Number of this process, from 0.")
@click.option("--traceback", is_flag=True, help="Show the traceback of an error.")
def main(
    arguments: tuple[str, ...],
    config: str | None,
    workdir: str,
    seeds: str | None,
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    traceback: bool,
) -> None:
    """Train a flow from a config. A workdir that holds a checkpoint is resumed.

    CONFIG is the name of a config that ships, such as digits (the default) or toy2d:moons, or a Python file.
    `realnvp configs` lists those that ship.
    """
    escape_in_console()
    with StopRequest(exits=True):  # before the imports, which take a while
        try:
            _connect(coordinator, num_processes, process_id)
            _train(arguments, config, workdir, seeds)
        except Exception as error:
            _exit(error, traceback)


def _connect(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Connect this process with the others, if there are any."""
    from realnvp_jax.runs.cluster import connect

    connect(coordinator, num_processes, process_id)


def _train(arguments: tuple[str, ...], config: str | None, workdir: str, seeds: str | None) -> None:
    from absl import logging

    from realnvp_jax.compilation_cache import enable_compilation_cache
    from realnvp_jax.processes import everywhere
    from realnvp_jax.runs.config_keys import with_overrides
    from realnvp_jax.runs.named_configs import find_config
    from realnvp_jax.runs.seeds import train_seeds
    from realnvp_jax.runs.start import train
    from realnvp_jax.text import shorten

    def parse() -> tuple[Any, Path, list[int] | None]:
        for option, value in (("config", config), ("workdir", workdir)):
            if value and value.startswith("--"):
                raise ValueError(f"expected a value for --{option}; got the option {shorten(value)}")
        name, overrides = config, arguments
        if arguments and not arguments[0].startswith("-"):
            if config is not None:
                raise ValueError(f"expected one config; got {config!r} and {arguments[0]!r}")
            name, overrides = arguments[0], arguments[1:]
        file = find_config(name if name is not None else _DEFAULT)
        complete = with_overrides(file.load(), overrides)
        return complete, Path(workdir or f"runs/{file.run_name}"), _parse_seeds(seeds)

    logging.set_verbosity(logging.ERROR)  # hide the libraries' log messages
    complete, directory, of_seeds = everywhere(parse)
    enable_compilation_cache()
    if of_seeds is None:
        train(complete, directory, command=command_line())
    else:
        train_seeds(complete, directory, of_seeds, command=command_line())


def _parse_seeds(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError:
        raise ValueError(f"expected --seeds as numbers such as 0,1,2; got {text[:60]!r}") from None


def _exit(error: Exception, traceback: bool) -> None:
    """Exit with one sentence about the error; with `traceback`, raise it as it is."""
    from realnvp_jax.text import sentence
    from realnvp_jax.training.steps import NonFiniteLossError

    if isinstance(error, InterruptedRunError):
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    if traceback:
        raise error
    if isinstance(error, NonFiniteLossError):
        sys.exit(f"Error: {error}")
    if isinstance(error, ValueError | TypeError | OSError):
        sys.exit(f"Error: {sentence(error)}")
    sys.exit(f"Error: {sentence(error)} (unexpected: --traceback shows where it came from)")
