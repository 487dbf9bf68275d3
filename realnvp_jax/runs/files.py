"""Text and JSON files that readers never see half-written."""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realnvp_jax.text import describe_error, describe_os_error, shorten


class UnwritableFileError(OSError):
    """A file of a run cannot be written; the message names it, and says why and what to do."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within this context, an OSError becomes an `UnwritableFileError` that names the file."""
    try:
        yield
    except UnwritableFileError:
        raise
    except OSError as error:
        raise UnwritableFileError(describe_os_error(error, path)) from error


def check_space(directory: Path, num_bytes: float) -> None:
    """Raise UnwritableFileError unless so many bytes are free on the disk of a directory."""
    if shutil.disk_usage(directory).free < num_bytes:
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise UnwritableFileError(describe_os_error(error, directory))


def write_text(path: Path, text: str) -> None:
    """`replace_bytes` with a text in UTF-8."""
    replace_bytes(path, text.encode())


def replace_bytes(path: Path, content: bytes) -> None:
    """Write atomically: even after a power cut, a reader sees the old file or the new one.

    Raises:
      UnwritableFileError: the file cannot be written; the old one is left as it is.
    """
    temporary = path.with_name(path.name + ".tmp")
    with writing(path):
        try:
            _write_and_rename(temporary, path, content)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def _write_and_rename(temporary: Path, path: Path, content: bytes) -> None:
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)  # makes the new name durable


def write_bytes(path: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on the disk."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Wait until the names in a directory are on the disk."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read what `write_json` wrote.

    Args:
      path: the file.
      remedy: what to do about a damaged file, for the message.

    Raises:
      ValueError: the file is damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"expected {shorten(path, 150)} as it was written; got a damaged file ({describe_error(error)}): {remedy}"
        ) from None
    if not isinstance(value, dict):
        raise ValueError(f"expected {shorten(path, 150)} as it was written; got a damaged file: {remedy}")
    return value
