"""What Orbax logs although nothing is wrong, or although it raises the same error, is not shown.

Orbax logs through absl, and asyncio logs the tasks that Orbax leaves behind. Everything else of these loggers is shown.
"""

import logging
import re
from pathlib import Path

# These fill several screens when a checkpoint cannot be written, for which an error is raised as well.
_RAISED_TOO = re.compile(
    r"_SignalingThread\.run\(\) raised an exception|Save Finalize thread \(save_finalize\) failed|"
    r"Failed to run \d+ Handler Commit operations|Failed to write metadata="
)
_LEFT_BY_ORBAX = re.compile(r"(Task|Future) exception was never retrieved\nfuture: .*orbax-checkpoint-tmp", re.DOTALL)


def hide_needless_logs() -> None:
    """Filter the loggers of absl and asyncio."""
    logging.getLogger("absl").addFilter(_is_shown_by_absl)
    logging.getLogger("asyncio").addFilter(_is_shown_by_asyncio)


def _is_shown_by_absl(record: logging.LogRecord) -> bool:
    """Whether a record is not from Orbax, or is an error that is not raised as well; Orbax warns of ordinary things."""
    if "/orbax/checkpoint/" not in Path(record.pathname).as_posix():
        return True
    return record.levelno >= logging.ERROR and not _RAISED_TOO.search(record.getMessage())


def _is_shown_by_asyncio(record: logging.LogRecord) -> bool:
    return not _LEFT_BY_ORBAX.match(record.getMessage())
