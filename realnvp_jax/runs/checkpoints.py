"""Checkpoints by Orbax, with hashes to detect damage.

A workdir holds checkpoints/<step>/ with the items `params`, `ema`, `opt_state` and `meta`. `meta` holds the step, the
best validation result so far, and the SHA-256 of every item's arrays and of `meta` itself, since Orbax can restore
damaged files without an error. The newest checkpoints are kept, and for each of them the best step that its `meta`
names. All of this is on disk, so a restarted run keeps the same checkpoints. Saving is asynchronous and atomic.

The state is the same in every process, so the main process writes and reads it for all.
"""

import contextlib
import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

import realnvp_jax
from realnvp_jax.processes import is_main, on_main
from realnvp_jax.runs.best import Best
from realnvp_jax.runs.checkpoint_hashes import sha256_of_arrays, sha256_of_meta
from realnvp_jax.runs.decorations import warn
from realnvp_jax.runs.files import UnwritableFileError, check_space, write_text
from realnvp_jax.runs.orbax_logs import hide_needless_logs
from realnvp_jax.runs.preservation import NewestAndTheirBest
from realnvp_jax.text import describe_error, describe_os_error, os_error_number
from realnvp_jax.training.state import TrainState

hide_needless_logs()
_ITEMS = ("params", "ema", "opt_state")


class CorruptCheckpointError(ValueError):
    """A checkpoint does not hold the arrays that were saved."""


def _of_main(method: Any) -> Any:
    """A method that the main process carries out for all, unless each reads by itself."""

    @functools.wraps(method)
    def wrapped(self: "Checkpoints", *arguments: Any) -> Any:
        call = functools.partial(method, self, *arguments)
        return call() if self.read_only else on_main(call)

    return wrapped


class Checkpoints:
    """The checkpoints of one workdir. If there are several processes, all of them call the same methods.

    Args:
      workdir: the run's directory.
      keep: number of newest checkpoints to keep, besides the best steps that they name.
      read_only: change nothing, so that a run that may still be in progress can be inspected. Every process then reads
        by itself.

    Attributes:
      passed_over: number of batches that were not trained on, after losses that were not finite; saved and restored.
    """

    def __init__(self, workdir: Path, keep: int = 2, read_only: bool = False):
        self.directory = workdir.resolve() / "checkpoints"
        self.passed_over, self.read_only = 0, read_only
        self._policy = NewestAndTheirBest(keep, {})
        self._open()

    @_of_main
    def _open(self) -> None:
        if not self.read_only:
            self.directory.mkdir(parents=True, exist_ok=True)
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=(*_ITEMS, "meta"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self._policy,
                cleanup_tmp_directories=not self.read_only,
                create=False,
                read_only=self.read_only,
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    primary_host=jax.process_index(), active_processes={jax.process_index()}
                ),
            ),
        )
        for step in [] if self.read_only else self.steps():
            with contextlib.suppress(Exception):  # damaged checkpoints, which `restore` reports
                self._policy.best_of[step] = self.meta(step)["best"]["step"]

    @_of_main
    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    @_of_main
    def save(self, state: TrainState, best: Best, awaits_evaluation: bool = False) -> None:
        """Save in the background; of a step that has already been saved, only the best result is replaced.

        Args:
          state: the replicated state.
          best: the best validation result so far.
          awaits_evaluation: whether the best result will be saved again, after the evaluation of this step.

        Raises:
          RuntimeError: Orbax refused to save.
          UnwritableFileError: this checkpoint, or the one that was being saved, cannot be written.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            self.note_best(step, best)
            return
        items = {name: jax.tree.map(np.array, getattr(state, name)) for name in _ITEMS}  # copies on the host
        # of a full disk, the threads of Orbax would print several screens
        check_space(self.directory, 2**20 + 1.2 * sum(leaf.nbytes for leaf in jax.tree.leaves(items)))
        meta = {
            "step": step,
            "best": dataclasses.asdict(best),
            "sha256": {n: sha256_of_arrays(v) for n, v in items.items()},
        }
        meta |= {"passed_over": self.passed_over, "version": realnvp_jax.__version__}
        meta["dtypes"] = {n: [leaf.dtype.name for leaf in jax.tree.leaves(v)] for n, v in items.items()}
        meta["shapes"] = {n: [list(leaf.shape) for leaf in jax.tree.leaves(v)] for n, v in items.items()}
        meta["sha256"]["meta"] = sha256_of_meta(meta)
        self._policy.best_of[step], self._policy.awaits_evaluation = best.step, awaits_evaluation
        with self._saving():
            saved = self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{name: ocp.args.StandardSave({"tree": value}) for name, value in items.items()},
                    meta=ocp.args.JsonSave(meta),
                ),
            )
        if not saved:
            raise RuntimeError(f"expected Orbax to save step {step} in {self.directory}; it has {self.steps()}")

    @_of_main
    def note_best(self, step: int, best: Best) -> None:
        """Atomically replace the best validation result that a saved step names, and delete what is no longer kept."""
        self.wait()
        meta = {**self.meta(step), "best": dataclasses.asdict(best)}
        meta["sha256"]["meta"] = sha256_of_meta(meta)
        write_text(self.directory / str(step) / "meta" / "metadata", json.dumps(meta))
        self._policy.best_of[step], self._policy.awaits_evaluation = best.step, False
        for old in set(self.steps()) - self._policy.kept(self.steps()):
            self._manager.delete(old)

    @_of_main
    def restore(self, target: TrainState) -> tuple[TrainState, Best] | None:
        """The newest usable checkpoint, or None if there is none at all.

        Damaged checkpoints are reported on stderr, and moved to <workdir>/damaged/<step> once an older one turns out to
        be usable.

        Args:
          target: a state with the shapes of the run's state.

        Raises:
          ValueError: there are checkpoints, but none is usable.
        """
        steps = self.steps()
        for i, step in enumerate(steps):
            try:
                items = {name: self._restore_item(step, name, getattr(target, name)) for name in _ITEMS}
                meta = self.meta(step)
                best, passed_over = Best(**meta["best"]), meta.get("passed_over", 0)  # none before version 0.7
            except Exception as error:  # a damaged checkpoint can raise almost anything
                warn(f"checkpoint {step} cannot be used ({describe_error(error)}); trying an older one")
                continue
            self.put_aside(steps[:i])
            self.passed_over = passed_over
            return TrainState(step=jax.numpy.asarray(step, jax.numpy.int32), **items), best
        if steps:
            raise ValueError(
                f"expected a usable checkpoint in {self.directory}; got {len(steps)} damaged ones: "
                "start again in a new workdir"
            )
        return None

    @_of_main
    def restore_item(self, step: int, name: str, target: Any) -> Any:
        """One item ("params" or "ema") of one step; raises ValueError if the step has no or a damaged checkpoint."""
        with self._reading(step):
            return self._restore_item(step, name, target)

    @_of_main
    def has_average(self, step: int) -> bool:
        """Whether one step has an average of the parameters, the item "ema"; raises as `restore_item`."""
        with self._reading(step):
            return bool(self.meta(step)["dtypes"]["ema"])

    @_of_main
    def put_aside(self, steps: list[int]) -> None:
        """Move the checkpoints of some steps to <workdir>/damaged/<step>."""
        for step in steps:
            aside = self.directory.parent / "damaged"
            aside.mkdir(exist_ok=True)
            (self.directory / str(step)).rename(aside / f"{step}_{time.time_ns()}")
        if steps:
            self._manager.reload()

    @_of_main
    def meta(self, step: int) -> dict[str, Any]:
        """The item `meta` of one step.

        Raises:
          CorruptCheckpointError: it is not what was saved; a damaged file can raise other errors, too.
        """
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        now = sha256_of_meta(meta)
        if meta["sha256"].get("meta", now) != now:  # version 0.2.0 saved no hash of meta
            raise CorruptCheckpointError(
                f"expected the meta that was saved with checkpoint {step}; got another: the file is damaged"
            )
        return meta

    @_of_main
    def wait(self) -> None:
        """Wait until pending saves are complete."""
        with self._saving():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait until pending saves are complete, and release all resources; other processes do not wait."""
        if self.read_only or is_main():
            with self._saving():
                self._manager.close()

    @contextlib.contextmanager
    def _reading(self, step: int) -> Iterator[None]:
        """Raise ValueError if a step has no checkpoint, or reading it within this context fails."""
        if step not in self.steps():
            raise ValueError(f"expected one of the steps {self.steps()} in {self.directory}; got {step}")
        try:
            yield
        except CorruptCheckpointError:
            raise
        except Exception as error:
            message = f"expected a complete checkpoint {step} in {self.directory}; restoring it failed: "
            raise CorruptCheckpointError(message + describe_error(error)) from error

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        """Within this context, an error of a file is an UnwritableFileError, and what is half-written is removed."""
        try:
            yield
        except Exception as error:  # for a file that cannot be written, Orbax also raises ValueErrors
            for path in self.directory.glob("*.orbax-checkpoint-tmp"):
                shutil.rmtree(path, ignore_errors=True)
            if os_error_number(error) is None:
                raise
            raise UnwritableFileError(describe_os_error(error, self.directory)) from error

    def _restore_item(self, step: int, name: str, target: Any) -> Any:
        placement = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        meta = self.meta(step)
        leaves, structure = jax.tree.flatten(target)
        shapes = [list(leaf.shape) for leaf in leaves]
        if meta.get("shapes", {name: shapes})[name] != shapes:
            raise ValueError(f"expected arrays of the config's shapes as {name} of checkpoint {step}; got others")
        saved = zip(leaves, meta["dtypes"][name], strict=True)
        abstract = structure.unflatten(
            [jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=placement) for leaf, dtype in saved]
        )
        arguments = ocp.args.Composite(**{name: ocp.args.StandardRestore({"tree": abstract})})
        value = self._manager.restore(step, args=arguments)[name]["tree"]
        if sha256_of_arrays(value) != meta["sha256"][name]:
            raise CorruptCheckpointError(
                f"expected the arrays that were saved as {name} of checkpoint {step} in {self.directory}; "
                "got others: the files are damaged"
            )
        return value


@contextlib.contextmanager
def open_checkpoints(workdir: Path) -> Iterator[Checkpoints]:
    """The checkpoints of a workdir, read-only.

    Raises:
      ValueError: there are no checkpoints yet.
    """
    if not (workdir / "checkpoints").is_dir():
        raise ValueError(f"expected a checkpoint in {workdir}; got none yet: let the run save one first")
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def newest_step(workdir: Path) -> int | None:
    """The newest step with a checkpoint, or None if there is none."""
    if not (workdir / "checkpoints").is_dir():
        return None
    with open_checkpoints(workdir) as checkpoints:
        return max(checkpoints.steps(), default=None)
