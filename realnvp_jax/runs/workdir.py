"""The directory of a run: its files, and the rules for resuming in it."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from realnvp_jax.models.create import Config, check_version
from realnvp_jax.runs.decorations import warn
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.result import read_result
from realnvp_jax.runs.saved_config import REMEDY, check_same_run, config_path, read_config
from realnvp_jax.text import describe_error, shorten

_UNREADABLE = "[\\"  # Orbax's storage treats them as patterns


class Workdir:
    """A run's directory.

    Args:
      path: the directory; `start` creates it if it does not exist.
      config: the run's config.

    Raises:
      ValueError: the directory holds a run of another config, or a run whose config is damaged or missing; or
        checkpoints cannot be read back from its path.
    """

    def __init__(self, path: Path, config: Config):
        self.path = path
        self._config = config
        self._lock = FileLock(path / ".lock", is_singleton=False)
        if any(character in str(path.resolve()) for character in _UNREADABLE):
            raise ValueError(
                f"expected a --workdir whose full path has none of the characters {' '.join(_UNREADABLE)} , with which "
                f"checkpoints cannot be read back; got {shorten(path.resolve(), 150)}: choose another"
            )
        try:
            str(path.resolve()).encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"expected a --workdir whose full path can be encoded in UTF-8, as checkpoints need it; "
                f"got {ascii(str(path))[:150]}: set PYTHONUTF8=1 if the path is in UTF-8, or choose another"
            ) from None
        self._check_saved()

    def _check_saved(self) -> None:
        """Raise ValueError if the directory holds another config's run, or one whose config is damaged or missing."""
        path = self.path
        if self.config_path.is_file():
            saved = read_config(path, REMEDY)
            check_version(saved, shorten(path, 100))
            # data.json tells whether the data are the same, even if they have been moved
            moves = ("dataset.path",) if (path / "data.json").is_file() else ()
            check_same_run(saved, self._config, path, may_differ=moves)
        elif any(path.glob("checkpoints/*")):
            raise ValueError(
                f"expected config.json beside the checkpoints in {shorten(path, 150)}; got none, so what they were "
                f"trained with is unknown: {REMEDY}"
            )

    def start(self) -> None:
        """Create the directory, lock it until `close`, and write the config.

        Raises:
          ValueError: another program has locked it, or has left a run of another config in it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"expected a --workdir that is a directory or can be created; got {shorten(self.path, 150)}: "
                f"{error.strerror}"
            ) from None
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ValueError(
                f"expected a --workdir that no other program trains in; got {shorten(self.path, 150)}: "
                "wait for the other program, or use another --workdir"
            ) from None
        except (OSError, NotImplementedError) as error:  # some network drives do not support locks
            warn(f"{self.path} cannot be locked ({describe_error(error)}): let only one program train in it")
        self._check_saved()  # another program may have finished here in the meantime
        write_json(self.config_path, json.loads(self._config.to_json()))

    def close(self) -> None:
        """Unlock the directory."""
        self._lock.release()

    @property
    def config_path(self) -> Path:
        """The config, as JSON."""
        return config_path(self.path)

    @property
    def metrics_path(self) -> Path:
        """One row for each logged step."""
        return self.path / "metrics.csv"

    @property
    def result_path(self) -> Path:
        """The test result."""
        return self.path / "result.json"

    @property
    def run_path(self) -> Path:
        """How the run was made: see `realnvp_jax.runs.history`."""
        return self.path / "run.json"

    def result(self) -> dict[str, Any] | None:
        """The test result of a finished run; None if there is none, or if it is damaged, which stderr reports."""
        if not self.result_path.is_file():
            return None
        try:
            return read_result(self.result_path)
        except ValueError:
            warn(f"{self.result_path} is damaged: the run is evaluated again")
            return None
