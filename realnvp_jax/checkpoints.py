"""Checkpoints by Orbax, with a hash of their own, and `load`.

A workdir holds checkpoints/<step>/ with the items `params`, `ema`, `opt_state` and `meta`. `meta` holds the step, the
best validation result so far, a SHA-256 of every item's arrays and one of itself, since damaged files can restore
without an error. The newest checkpoints are kept, and for each of them the best step that its `meta` names: what
decides is on disk, so a run that starts again decides as before. Saving is asynchronous and atomic.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import operator
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from ml_collections import ConfigDict
from orbax.checkpoint.checkpoint_managers import preservation_policy

import realnvp_jax
from realnvp_jax.models.create import Config, check_version, create
from realnvp_jax.models.flow import Flow
from realnvp_jax.text import describe_error, shorten
from realnvp_jax.training.decorations import warn
from realnvp_jax.training.state import TrainState
from realnvp_jax.training.workdir import read_json, write_text

_ITEMS = ("params", "ema", "opt_state")


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validation result so far.

    Attributes:
      step: its step, None before the first.
      cost: the result as a cost: smaller is better.
      lost_step: a better step whose checkpoint is lost, or None.
      lost_cost: its cost.
    """

    step: int | None = None
    cost: float = math.inf
    lost_step: int | None = None
    lost_cost: float = math.inf

    def after(self, step: int, cost: float) -> "Best":
        """The best after one more result. Of equal results the first is the best."""
        if not cost < self.cost:
            return self
        return Best(step, cost) if cost < self.lost_cost else dataclasses.replace(self, step=step, cost=cost)

    def lost(self) -> "Best":
        """What is known once the checkpoint of the best step is lost: no result but the lost one."""
        if self.lost_step is not None:
            return Best(None, math.inf, self.lost_step, self.lost_cost)
        return Best(None, math.inf, self.step, self.cost)


class CorruptCheckpointError(ValueError):
    """A checkpoint's arrays are not those that were saved."""


@dataclasses.dataclass
class _NewestAndTheirBest(preservation_policy.PreservationPolicy):
    """Keeps the newest checkpoints and the best step that each of them names.

    A run that goes back to the older of two checkpoints still finds the step that was the best then.

    Attributes:
      keep: how many of the newest to keep.
      best_of: the best step that each checkpoint names.
    """

    keep: int
    best_of: dict[int, int | None]

    def should_preserve(
        self,
        checkpoints: Sequence[preservation_policy.PolicyCheckpointInfo],
        *,
        context: preservation_policy.PreservationContext,
    ) -> Sequence[bool]:
        newest = sorted(checkpoint.step for checkpoint in checkpoints)[-self.keep :]
        kept = {*newest, *(self.best_of.get(step) for step in newest)}
        return [checkpoint.step in kept for checkpoint in checkpoints]


class Checkpoints:
    """The checkpoints of one workdir.

    Args:
      workdir: the run's directory.
      keep: how many of the newest to keep, besides the best steps that they name.
      read_only: leave everything as it is, for looking into a run that may still be going on.
    """

    def __init__(self, workdir: Path, keep: int = 2, read_only: bool = False):
        self.directory = workdir.resolve() / "checkpoints"
        self._policy = _NewestAndTheirBest(keep, {})
        self._manager = ocp.CheckpointManager(
            self.directory,
            item_names=(*_ITEMS, "meta"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self._policy,
                cleanup_tmp_directories=not read_only,
                create=not read_only,
                read_only=read_only,
            ),
        )
        for step in [] if read_only else self.steps():
            with contextlib.suppress(Exception):  # of a damaged one, which `restore` names
                self._policy.best_of[step] = self.meta(step)["best"]["step"]

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, state: TrainState, best: Best) -> None:
        """Save in the background; a step that is there already is left as it is.

        Args:
          state: the state, replicated.
          best: the best validation result so far, this step's included.

        Raises:
          RuntimeError: Orbax refused to save.
        """
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        items = {name: getattr(state, name) for name in _ITEMS}
        meta = {"step": step, "best": dataclasses.asdict(best), "sha256": {n: _sha256(v) for n, v in items.items()}}
        meta["version"] = realnvp_jax.__version__
        meta["dtypes"] = {n: [leaf.dtype.name for leaf in jax.tree.leaves(v)] for n, v in items.items()}
        meta["shapes"] = {n: [list(leaf.shape) for leaf in jax.tree.leaves(v)] for n, v in items.items()}
        meta["sha256"]["meta"] = _sha256_of_meta(meta)
        self._policy.best_of[step] = best.step
        saved = self._manager.save(
            step,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardSave({"tree": value}) for name, value in items.items()},
                meta=ocp.args.JsonSave(meta),
            ),
        )
        if not saved:
            raise RuntimeError(f"expected Orbax to save step {step} in {self.directory}; it has {self.steps()}")

    def note_best(self, step: int, best: Best) -> None:
        """Replace, atomically, the best validation result that a saved step names."""
        self.wait()
        meta = {**self.meta(step), "best": dataclasses.asdict(best)}
        meta["sha256"]["meta"] = _sha256_of_meta(meta)
        write_text(self.directory / str(step) / "meta" / "metadata", json.dumps(meta))
        self._policy.best_of[step] = best.step

    def restore(self, target: TrainState) -> tuple[TrainState, Best] | None:
        """The newest usable checkpoint, or None if there is none at all.

        Damaged ones are named on stderr, and moved out of the way to <workdir>/damaged/<step> once an older one is
        found to be usable.

        Args:
          target: a state of the run's own shapes.

        Raises:
          ValueError: there are checkpoints, and none is usable.
        """
        steps = self.steps()
        for i, step in enumerate(steps):
            try:
                items = {name: self._restore_item(step, name, getattr(target, name)) for name in _ITEMS}
                best = Best(**self.meta(step)["best"])
            except Exception as error:  # a damaged checkpoint can raise almost anything
                warn(f"checkpoint {step} cannot be used ({describe_error(error)}); trying an older one")
                continue
            self.put_aside(steps[:i])
            return TrainState(step=jax.numpy.asarray(step, jax.numpy.int32), **items), best
        if steps:
            raise ValueError(
                f"expected a usable checkpoint in {self.directory}; got {len(steps)} damaged ones: "
                "start again in a new workdir"
            )
        return None

    def restore_item(self, step: int, name: str, target: Any) -> Any:
        """One item ("params" or "ema") of one step.

        Raises:
          ValueError: the step has no checkpoint, or it is damaged.
        """
        if step not in self.steps():
            raise ValueError(f"expected one of the steps {self.steps()} in {self.directory}; got {step}")
        try:
            return self._restore_item(step, name, target)
        except CorruptCheckpointError:
            raise
        except Exception as error:
            raise CorruptCheckpointError(
                f"expected a complete checkpoint {step} in {self.directory}; "
                f"restoring it failed: {describe_error(error)}"
            ) from error

    def put_aside(self, steps: list[int]) -> None:
        """Move the checkpoints of some steps to <workdir>/damaged/<step>."""
        for step in steps:
            aside = self.directory.parent / "damaged"
            aside.mkdir(exist_ok=True)
            (self.directory / str(step)).rename(aside / f"{step}_{time.time_ns()}")
        if steps:
            self._manager.reload()

    def meta(self, step: int) -> dict[str, Any]:
        """What was noted beside the arrays of one step.

        Raises:
          CorruptCheckpointError: it is not what was saved; a damaged file can raise other errors too.
        """
        meta = self._manager.restore(step, args=ocp.args.Composite(meta=ocp.args.JsonRestore()))["meta"]
        now = _sha256_of_meta(meta)
        if meta["sha256"].get("meta", now) != now:  # version 0.2.0 saved no hash of it
            raise CorruptCheckpointError(
                f"expected the meta that was saved with checkpoint {step}; got another: the file is damaged"
            )
        return meta

    def wait(self) -> None:
        """Wait for the saving under way."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Wait for the saving under way, and release everything."""
        self._manager.close()

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
        if _sha256(value) != meta["sha256"][name]:
            raise CorruptCheckpointError(
                f"expected the arrays that were saved as {name} of checkpoint {step} in {self.directory}; "
                "got others: the files are damaged"
            )
        return value


def _sha256(tree: Any) -> str:
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _sha256_of_meta(meta: dict[str, Any]) -> str:
    """The hash of everything in a meta but this hash itself."""
    hashes = {name: value for name, value in meta["sha256"].items() if name != "meta"}
    return hashlib.sha256(json.dumps({**meta, "sha256": hashes}, sort_keys=True).encode()).hexdigest()


def read_config(workdir: Path) -> Config:
    """The config of the run in a workdir.

    Raises:
      ValueError: there is no run.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise ValueError(f"expected the workdir of a run, with config.json; got {workdir}")
    return ConfigDict(read_json(path, "put back a copy of it"))


def load(workdir: str | Path, step: int | str | None = None, ema: bool | None = None) -> tuple[Flow, dict[str, Any]]:
    """The flow of a run and its parameters.

    Args:
      workdir: the run's directory.
      step: a step with a checkpoint, "best" for the best by validation, "last" for the newest. None is what
        result.json was computed with, the best step (of an unfinished run: the best so far, or else the newest).
      ema: whether to load the moving average of the parameters; None is whether the run has one.

    Returns:
      (flow, params).

    Raises:
      ValueError: there is no run, no such checkpoint, no moving average, or the checkpoint is damaged.
    """
    workdir = Path(workdir).expanduser()
    config = read_config(workdir)
    flow = create_flow(config, workdir)
    if ema and not config.ema_decay:
        raise ValueError(f"expected a run with ema_decay > 0 for ema=True; {workdir} has none")
    use_ema = bool(config.ema_decay) if ema is None else ema
    with _looked_into(workdir) as checkpoints:
        target = jax.eval_shape(flow.init, jax.random.key(0))
        number = _choose_step(checkpoints, step)
        try:
            params = checkpoints.restore_item(number, "ema" if use_ema else "params", target)
        except CorruptCheckpointError as error:
            made_by = _version_of(workdir)
            if made_by == f"version {realnvp_jax.__version__}":
                raise
            raise CorruptCheckpointError(f"{error} (the run was made by {made_by})") from None
    return flow, params


def create_flow(config: Config, workdir: Path) -> Flow:
    """The flow of a run's config.

    Raises:
      ValueError: the run was made by a version with other keys or other parameters.
    """
    check_version(config, shorten(workdir, 100))
    try:
        return create(config)
    except (AttributeError, KeyError) as error:
        raise other_version(workdir, error) from None


def other_version(workdir: Path, error: Exception) -> ValueError:
    """The error to raise for a config without keys that this version has."""
    return ValueError(
        f"expected the config keys of version {realnvp_jax.__version__} in {shorten(workdir, 100)}; "
        f"got {describe_error(error)}: the run was made by {_version_of(workdir)}"
    )


def newest_or_best_step(workdir: Path, step: int | str | None = None) -> int:
    """The number of the step that `load` takes for "best", "last", None or a number.

    Raises:
      ValueError: there is no such checkpoint.
    """
    with _looked_into(workdir) as checkpoints:
        number = _choose_step(checkpoints, step)
        if number not in checkpoints.steps():
            raise ValueError(f"expected one of the steps {checkpoints.steps()} in {workdir}; got {number}")
        return number


def newest_step(workdir: Path) -> int | None:
    """The newest step with a checkpoint, or None if there is none."""
    if not (workdir / "checkpoints").is_dir():
        return None
    with _looked_into(workdir) as checkpoints:
        return max(checkpoints.steps(), default=None)


@contextlib.contextmanager
def _looked_into(workdir: Path) -> Iterator[Checkpoints]:
    if not (workdir / "checkpoints").is_dir():
        raise ValueError(f"expected a checkpoint in {workdir}; got none yet: let the run save one first")
    checkpoints = Checkpoints(workdir, read_only=True)
    try:
        yield checkpoints
    finally:
        checkpoints.close()


def _version_of(workdir: Path) -> str:
    """Which version of this package wrote the newest checkpoint."""
    try:
        with _looked_into(workdir) as checkpoints:
            return f"version {checkpoints.meta(checkpoints.steps()[0])['version']}"
    except Exception:  # there is none, it is damaged, or it does not say
        return "an older version"


def _choose_step(checkpoints: Checkpoints, step: int | str | None) -> int:
    steps = checkpoints.steps()
    if not steps:
        raise ValueError(f"expected a checkpoint in {checkpoints.directory}; got none yet: let the run save one first")
    if step is not None and not isinstance(step, str):
        return operator.index(step)
    if step not in (None, "best", "last"):
        raise ValueError(f"expected step to be a number, 'best' or 'last'; got {step!r}")
    try:
        best = Best(**checkpoints.meta(steps[0])["best"]).step
    except Exception as error:  # as in `restore`
        raise CorruptCheckpointError(
            f"expected a complete checkpoint {steps[0]} in {checkpoints.directory}; reading it failed "
            f"({describe_error(error)}): choose another with step=, of {steps}"
        ) from error
    if step == "last" or (step is None and best is None):
        return steps[0]
    if best is None:
        raise ValueError(f"expected a validation result in {checkpoints.directory} for step='best'; got none yet")
    if best not in steps:
        raise ValueError(
            f"expected the checkpoint of the best step {best} in {checkpoints.directory}; got {steps} only: "
            "start the run again, which finds the best of these, or choose one with step="
        )
    return best
