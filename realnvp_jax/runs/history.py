"""run.json: how a run was made. It records every start, with its command, date, versions, commit and device."""

import datetime
import functools
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import jax

import realnvp_jax
from realnvp_jax.runs.files import read_json, write_json


def note_start(path: Path, command: str | None, step: int) -> None:
    """Add a start to a run.json. A damaged file is replaced by a new one.

    Args:
      path: the file.
      command: what the user typed, or None for a call from Python.
      step: the step that the run starts from.
    """
    starts = read_history(path)
    starts.append(
        {
            "command": without_home(command) if command else None,
            "step": step,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "version": realnvp_jax.__version__,
            "commit": commit(),
            "jax": jax.__version__,
            "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        }
    )
    write_json(path, {"starts": starts})


def note_finish(path: Path) -> None:
    """Complete a run.json with the first command, and with the date and the version of the result."""
    starts = read_history(path)
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    first = {"command": starts[0].get("command") if starts else None, "date": date, "version": realnvp_jax.__version__}
    write_json(path, {**first, "starts": starts})


def read_history(path: Path) -> list[dict[str, Any]]:
    """The starts in a run.json; of a run of version 0.3, its command; of a missing or damaged file, none."""
    try:
        saved = read_json(path, "") if path.is_file() else {}
    except ValueError:
        return []
    if "starts" not in saved and "command" in saved:
        return [{key: saved.get(key) for key in ("command", "date", "version")}]
    starts = saved.get("starts")
    return [start for start in starts if isinstance(start, dict)] if isinstance(starts, list) else []


def without_home(text: str) -> str:
    """The text with ~ for the home directory, which should stay private."""
    home = os.path.expanduser("~")  # unlike Path.home, it returns ~ for a user without a home
    return text if home in ("/", "~") else text.replace(home + "/", "~/")


def without_paths(command: str) -> str:
    """A command with only the last component of every path in it; the others may be private."""

    def shortened(token: str) -> str:
        return "=".join(Path(part).name if "/" in part else part for part in token.split("="))

    try:
        return shlex.join(map(shortened, shlex.split(command)))
    except ValueError:  # an unclosed quotation
        return ""


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that the package runs from, with a + if files differ from it; None outside of one."""
    folder = Path(str(realnvp_jax.__file__)).parents[1]
    if not (folder / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):  # git is missing, or refuses another owner's repository
        return None
