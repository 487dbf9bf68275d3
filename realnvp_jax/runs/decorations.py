"""Optional work of a run, such as its pictures: a failure is a warning, not an error."""

import sys
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from realnvp_jax.processes import is_main
from realnvp_jax.text import describe_error


def attempt(what: object, function: Callable[..., Any], *arguments: Any) -> bool:
    """Call `function`; on failure, print one line to stderr.

    Args:
      what: what the function writes, for the warning.
      function: the work.
      *arguments: its arguments.

    Returns:
      Whether it worked.
    """
    try:
        function(*arguments)
    except Exception as error:  # data can make a picture fail in any way
        warn(f"{what} was not written ({describe_error(error)})")
        return False
    return True


def warn(message: str) -> None:
    """Print a warning to stderr, above the progress bar; of several processes, only the main one does."""
    if is_main():
        tqdm.write(f"warning: {message}", file=sys.stderr)
