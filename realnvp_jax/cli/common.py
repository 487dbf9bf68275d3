"""What the commands share: options, one-sentence errors, and a note beside every output on how it was made."""

import datetime
import functools
import io
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]

_DATA_DIR = "Where the run's data are now, if they have been moved: a directory, or the file or folder of dataset.path."
_ALLOW_CHANGED_DATA = "Use the run's data even if they have changed since it was started; the differences are printed."


def run_options(command: Command) -> Command:
    """Options of every command that opens a run: workdir, step, data_dir, allow_changed_data."""
    steps = "best by validation, last, or the number of a step with a checkpoint."
    options = [
        click.option("-w", "--workdir", required=True, type=click.Path(path_type=Path), help="Directory of the run."),
        click.option("--step", default="best", show_default=True, help=steps),
        click.option("--data-dir", default="", help=_DATA_DIR),
        click.option("--allow-changed-data", is_flag=True, help=_ALLOW_CHANGED_DATA),
    ]
    for option in reversed(options):
        command = option(command)
    return command


SEEDS = click.IntRange(0, 2**32 - 1)
seed_option = click.option("--seed", type=SEEDS, default=0, show_default=True, help="Seed of everything random.")
noise_seed_option = click.option(
    "--seed", type=SEEDS, help="Seed of the dequantization noise. [default: the seed of the evaluation in training]"
)
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(min=1), help="Examples at a time; the result does not depend on it."
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Overwrite existing files.")


def output_option(help_text: str) -> Callable[[Command], Command]:
    """The option --output; its help says what it defaults to."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), help=help_text)


def escape_in_console() -> None:
    """From now on, print escapes for characters that the console's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def in_one_sentence(command: Command) -> Command:
    """Turn errors of input into one sentence and exit code 1, and ~ in the paths of options into the home directory."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        from absl import logging

        logging.set_verbosity(logging.ERROR)  # hide the libraries' log messages
        escape_in_console()
        options = {name: value.expanduser() if isinstance(value, Path) else value for name, value in options.items()}
        try:
            return command(*arguments, **options)
        except BrokenPipeError:  # as in `realnvp configs | head`, which click ends quietly
            raise
        except (ValueError, TypeError, OSError) as error:
            from realnvp_jax.text import describe_os_error

            raise click.ClickException(describe_os_error(error)) from None

    return wrapped


def open_run(workdir: Path, step: str, data_dir: str, allow_changed_data: bool) -> Any:
    """Open the run, and print a line about it."""
    from realnvp_jax.analysis.run import open_run as open_it

    run = open_it(workdir, int(step) if step.isdecimal() else step, data_dir, allow_changed_data)
    average = ", averaged parameters" if run.ema else ""
    click.echo(f"{workdir}: {run.config.model.name} of {run.config.dataset.name}, step {run.step}{average}")
    return run


def free_path(
    output: Path | None, workdir: Path, default: str, overwrite: bool, extensions: tuple[str, ...] = ()
) -> Path:
    """The path to write to, checked against what exists; nothing is created yet.

    Args:
      output: the option --output, or None.
      workdir: the run's directory; the default output is in its folder analysis.
      default: file name of the default output.
      overwrite: the option --overwrite.
      extensions: allowed extensions of the file; "" (or no extensions at all) means a directory.

    Raises:
      ValueError: the output exists and `overwrite` is not set; a directory is where a file should be or the other way
        round; or the file has another extension.
    """
    from realnvp_jax.text import shorten

    path = output or workdir / "analysis" / default
    kinds = extensions or ("",)
    is_folder = "" in kinds and (not path.suffix or kinds == ("",) or (path.is_dir() and path.suffix not in kinds))
    extension = "" if is_folder else path.suffix
    if extension not in kinds:
        expected = ", ".join(kind or "none (a directory)" for kind in kinds)
        raise ValueError(f"expected --output with one of the extensions {expected}; got {shorten(path.name)}")
    if path.exists() and path.is_dir() != (extension == ""):
        raise ValueError(
            f"expected a {'file' if extension else 'directory'} to write; got {shorten(path)}, which is not one"
        )
    for there in (path, note_path(path)):
        if not overwrite and there.exists() and not (there.is_dir() and not any(there.iterdir())):
            raise ValueError(f"expected a new file to write; got {shorten(there, 200)}, which exists: add --overwrite")
    return path


def note_path(path: Path) -> Path:
    """The path of the note on how the output at `path` was made."""
    path = Path(os.path.abspath(path))  # "." has no name
    return path.with_name(path.name + ".json")


def write_note(path: Path, run: Any, values: dict[str, Any]) -> None:
    """Write a note beside an output: how it was made, and its numbers."""
    import jax

    import realnvp_jax
    from realnvp_jax.runs.history import without_home

    note = {
        "command": without_home(command_line()),
        "workdir": without_home(str(run.workdir.resolve())),
        "step": run.step,
        "ema": run.ema,
        "options": _plain(click.get_current_context().params),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "device": jax.devices()[0].device_kind,
        "version": realnvp_jax.__version__,
        "jax": jax.__version__,
        "values": _plain(values),
    }
    note_path(path).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def command_line() -> str:
    """The command that the user typed, ready to be typed again."""
    program = Path(sys.argv[0])
    if program.name == "main.py":  # python -m realnvp_jax.cli.main
        return shlex.join(["realnvp", *sys.argv[1:]])
    return shlex.join([*(["python"] if program.suffix == ".py" else []), program.name, *sys.argv[1:]])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def table(rows: list[list[str]]) -> str:
    """Rows as aligned columns; the first is the heading."""
    from realnvp_jax.data.images.description import aligned

    return "\n".join(aligned(rows))
