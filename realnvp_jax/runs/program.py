"""The training program's command line: flags, their errors in one sentence, exit codes."""

import difflib
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import app, flags, logging
from ml_collections import config_flags

EXIT_INTERRUPTED = 130

Keys = Mapping[str, tuple[Any, str]]


def main(default_config: Path, keys: Keys) -> None:
    """Run the training program.

    Args:
      default_config: config file without a --config flag.
      keys: every config key with (default, meaning), for the help text and for misspelt overrides.
    """
    if any(re.fullmatch(r"--?(help|helpshort|helpfull|h)", argument) for argument in sys.argv[1:]):
        print(_help(default_config, keys))
        return
    _check_config_file(sys.argv[1:])
    _without_unknown_keys(keys, lambda: config_flags.DEFINE_config_file("config", str(default_config), "config file"))
    flags.DEFINE_string("workdir", "", "directory of the run")
    flags.DEFINE_bool("traceback", False, "show where an error was raised")
    app.run(_run, flags_parser=lambda arguments: _without_unknown_keys(keys, lambda: flags.FLAGS(arguments)))


def _run(arguments: Sequence[str]) -> None:
    logging.set_verbosity(logging.ERROR)  # not the libraries' chatter
    from realnvp_jax.compilation_cache import enable_compilation_cache
    from realnvp_jax.runs.signals import InterruptedRunError
    from realnvp_jax.runs.trainer import train
    from realnvp_jax.training.steps import NonFiniteLossError

    enable_compilation_cache()
    values = flags.FLAGS
    if len(arguments) > 1:
        sys.exit(f"error: expected flags only, such as --config=configs/digits.py; got {arguments[1]!r}")
    _check_overrides(values.config.model)
    workdir = values.workdir or f"runs/{_name(config_flags.get_config_filename(values['config']))}"
    try:
        train(values.config, workdir, command=shlex.join(["python", *sys.argv]))
    except (ValueError, TypeError, OSError, NonFiniteLossError) as error:
        if values.traceback:
            raise
        sys.exit(f"error: {error}")
    except InterruptedRunError as error:
        print(error, file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    except KeyboardInterrupt:  # before the training or after it
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _check_config_file(arguments: Sequence[str]) -> None:
    """Exit with one sentence if --config names a file that is not there."""
    for argument in arguments:
        match = re.fullmatch(r"--?config=([^:]*).*", argument)
        if match and not Path(match[1]).is_file():
            sys.exit(f"error: expected a config file, such as configs/digits.py; got {match[1]!r}, which is not there")


def _overrides() -> list[str]:
    """The config keys on the command line."""
    matches = [re.match(r"--?(?:no)?config\.([\w.]+)", argument) for argument in sys.argv[1:]]
    return [match[1] for match in matches if match]


def _check_overrides(model: Any) -> None:
    """Exit with one sentence if the command line sets a key of config.model that this model does not read."""
    from realnvp_jax.models.create import MODELS, model_keys

    if model.name not in MODELS:
        return
    read = model_keys(model)
    for key in _overrides():
        group, _, name = key.partition(".")
        if group == "model" and name not in read:
            sys.exit(
                f"error: expected a key that the {model.name} reads, of model.{{{','.join(read)}}}; got {key!r}, "
                "which has no effect on it"
            )


def _without_unknown_keys(keys: Keys, parse: Callable[[], Any]) -> Any:
    """Run `parse`; on errors in the flags, exit with one sentence."""
    try:
        return parse()
    except flags.Error as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
    except (AttributeError, KeyError):  # an override of a key that the config does not have
        unknown = next((key for key in _overrides() if key not in keys), None)
        if unknown is None:
            raise
        near = difflib.get_close_matches(unknown, keys, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        sys.exit(f"error: expected a config key; got {unknown!r}: {hint}--help lists all keys")


def _name(config_filename: str) -> str:
    """configs/toy2d.py:moons -> toy2d_moons."""
    path, _, argument = config_filename.partition(":")
    return Path(path).stem + (f"_{argument}" if argument else "")


def _help(default_config: Path, keys: Keys) -> str:
    width = max(map(len, keys))
    lines = [f"  --config.{key:<{width}}  {meaning} [{value!r}]" for key, (value, meaning) in keys.items()]
    return "\n".join(
        [
            "Train a flow from a config; a workdir that holds a checkpoint is resumed.",
            "",
            "usage: python train.py [--config=FILE] [--workdir=DIR] [--config.KEY=VALUE ...]",
            "",
            f"  --config=FILE    config file, configs/*.py [{default_config.parent.name}/{default_config.name}]",
            "  --workdir=DIR    directory of the run [runs/<name of the config>]",
            "  --traceback      show where an error was raised",
            "",
            "Config keys, their meanings, and their defaults before the config file's own values:",
            "",
            *lines,
        ]
    )
