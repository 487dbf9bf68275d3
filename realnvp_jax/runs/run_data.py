"""The data of a run: where they are, and whether they have changed since the run was started.

A workdir holds data.json, with the fingerprint of the data and the directory (relative to the workdir) that relative
paths start from. If examples are files, it also holds split_files.json, with the names of the files of each split.
"""

import json
import os
from pathlib import Path
from typing import Any

from realnvp_jax.data.examples import Splits
from realnvp_jax.data.fingerprint import Fingerprint, by_name, difference, fingerprint
from realnvp_jax.models.create import Config
from realnvp_jax.models.flow import Flow
from realnvp_jax.runs.decorations import warn
from realnvp_jax.runs.files import write_json
from realnvp_jax.runs.setup import check_splits, read_data
from realnvp_jax.text import shorten

_PATHS = ("path", "data_dir", "manual_dir")


class RunData:
    """The data of the run in a workdir.

    Args:
      workdir: the run's directory; a new one, or one from before version 0.3, says nothing about the data yet.
      allow_changed: whether to continue with data that have changed; the differences are printed.
      advice: what to do if they have changed, for the message.

    Attributes:
      fingerprint: fingerprint of the data that the run was started with; None if unknown.

    Raises:
      ValueError: data.json is damaged.
    """

    def __init__(
        self,
        workdir: Path,
        allow_changed: bool = False,
        advice: str = "use another --workdir, or set --config.dataset.allow_changed=True to continue with these",
    ):
        self._workdir, self._allow_changed, self._advice = workdir, allow_changed, advice
        self._directory = Path.cwd()  # where relative paths start
        self.fingerprint: Fingerprint | None = None
        saved, files = _read(workdir / "data.json"), _read(workdir / "split_files.json")
        try:
            if saved is not None:
                self._directory = workdir.resolve() / saved["directory"]
                columns, context = tuple(saved["columns"]), tuple(saved["context"])
                self.fingerprint = Fingerprint(
                    columns,
                    context,
                    dict(saved["examples"]),
                    dict(saved["sha256"]),
                    tuple(saved.get("unused", ())),
                    {column: tuple(grid) for column, grid in saved.get("grids", {}).items()},
                )
            elif files is not None and "sha256" in files:  # version 0.2
                self.fingerprint = Fingerprint((), (), {}, dict(files["sha256"]))
        except (KeyError, ValueError, TypeError):
            raise _damaged(workdir / "data.json") from None
        self._files = files or {}

    def load(self, config: Config, flow: Flow | None) -> Splits:
        """The whole splits of the run's config, with the columns in the order that they had when the run was started.

        Raises:
          ValueError: the data do not exist, have changed, or do not fit the config.
        """
        config = self._located(config)
        if self.fingerprint is not None and config.dataset.get("discrete") == "refuse":
            # The columns were checked when the run was started; if data have changed, `match` says how they differ.
            config = config.copy_and_resolve_references()
            config.dataset.discrete = "continuous"
        splits = self.match(read_data(config, flow))
        check_splits(config, flow, splits)
        return splits

    def match(self, splits: Splits) -> Splits:
        """Whole splits, with the columns in the order that they had when the run was started.

        Raises:
          ValueError: the data have changed since the run was started.
        """
        if self.fingerprint is None:
            return splits
        found = difference(self.fingerprint, splits)
        if found:
            self._refuse_or_print(self._changed_files(splits) or found, "data" if splits.columns else "images")
        return by_name(splits, self.fingerprint)

    def write(self, splits: Splits) -> None:
        """Write the fingerprint of these whole splits, and the names of their files if they have any."""
        now = fingerprint(splits)
        values: dict[str, Any] = {
            "directory": os.path.relpath(self._directory.resolve(), self._workdir.resolve()),
            "columns": now.columns,
            "context": now.context,
            "examples": now.examples,
            "sha256": now.sha256,
            "unused": now.unused,
            "grids": now.grids,
        }
        write_json(self._workdir / "data.json", values)
        if splits.files or splits.left_out:
            names = {role: list(files) for role, files in splits.files.items()}
            write_json(self._workdir / "split_files.json", {**names, "left out": dict(splits.left_out)})

    def _located(self, config: Config) -> Config:
        """The config, with relative paths that exist there resolved in the directory in which the run was started."""
        keys = [
            key
            for key in _PATHS
            if (value := config.dataset.get(key, "")) and (self._directory / Path(value).expanduser()).exists()
        ]
        if self._directory.resolve() == Path.cwd() or not keys:
            self._directory = Path.cwd()
            return config
        located: Config = config.copy_and_resolve_references()
        for key in keys:
            located.dataset[key] = str(self._directory / Path(located.dataset[key]).expanduser())
        return located

    def _changed_files(self, splits: Splits) -> str:
        changed: set[str] = set()
        for role, names in splits.files.items():
            changed |= set(self._files.get(role, ())) ^ set(names)
        return (
            f"{len(changed)} files added, removed or moved to another split, such as {shorten(min(changed))}"
            if changed
            else ""
        )

    def _refuse_or_print(self, found: str, what: str) -> None:
        where = shorten(self._workdir, 60)
        if self._allow_changed:
            warn(f"the {what} are not those that the run in {where} was started with: {found}")
            return
        raise ValueError(
            f"expected the {what} that the run in {where} was started with, as in its data.json; "
            f"got {found}: {self._advice}"
        )


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise _damaged(path) from None


def _damaged(path: Path) -> ValueError:
    return ValueError(f"expected {shorten(path, 150)} as it was written; got a damaged file: restore it, or remove it")
