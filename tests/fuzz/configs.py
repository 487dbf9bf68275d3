"""Is every nonsensical value of a config key refused in one sentence, soon, and before anything is written?

    python -m tests.fuzz.configs --seed 0 --count 0

Every key gets ten values: of a wrong type, negative, zero, huge, NaN, infinite, empty, and others; further cases
contradict each other. A case is a config that is refused in one sentence of at most 400 characters, or accepted: then
it is trained for two steps, which must give a finite result or end in one sentence. No case may take longer than 10
seconds to be refused, leave anything in the workdir, or be accepted although `never_valid` says that it is nonsense.
`--count` draws so many of the cases at random (0: all); `--processes` of them are also run as real commands.
"""

import argparse
import collections
import contextlib
import dataclasses
import io
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from realnvp_jax.configs.default import KEYS
from realnvp_jax.runs import start
from realnvp_jax.runs.config_keys import filled
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.saved_config import flatten
from realnvp_jax.runs.signals import InterruptedRunError
from realnvp_jax.runs.workdir import Workdir
from realnvp_jax.training.steps import NonFiniteLossError

ROOT = Path(__file__).parents[2]
SECONDS = 10  # until a value is refused
_NAN, _INFINITY = math.nan, math.inf
_SMALL = {  # keys of all configs
    "num_steps": 2,
    "batch_size": 8,
    "checkpoint.every": 2,
    "evaluate.every": 2,
    "evaluate.log_every": 1,
    "evaluate.num_examples": 8,
    "evaluate.num_samples": 4,
    "init_examples": 8,
    "schedule.warmup_steps": 0,
}
_VECTORS = {**_SMALL, "model.hidden": (4,), "model.num_layers": 2}
BASES = {
    "image_flow": ("smoke", {**_SMALL, "model.base_features": 2}),
    "vector_flow": ("table", {**_VECTORS, "dataset.path": "table.csv", "model.event_shape": ()}),
    "masked_autoregressive_flow": ("toy2d:moons", {**_VECTORS, "model.name": "masked_autoregressive_flow"}),
}
_VALUES = {
    bool: ["yes", 2, -1, None, _NAN, _INFINITY, "", (), 1e30, [True]],
    int: ["many", 2.5, None, -1, 0, 10**9, 10**30, _NAN, _INFINITY, ""],
    float: ["much", (1.0,), None, -1.0, 0.0, 1e30, 1e-300, _NAN, _INFINITY, ""],
    str: [3, None, "", "no such thing", "x" * 10_000, "\0", "é\n\ud800", _NAN, ("a",), "-1"],
    tuple: ["many", 3, None, (), (0,), (-1,), (10**9,), (_NAN,), ("a", "b"), (1,) * 10_000],
}
CONTRADICTIONS = [
    ("image_flow", {"schedule.name": "cosine", "schedule.warmup_steps": 10, "schedule.decay_steps": 5}),
    ("image_flow", {"dataset.train": "all[:50%]", "dataset.validation": "all[40%:60%]"}),
    ("image_flow", {"dataset.train": "all[:50%]", "dataset.test": "all"}),
    ("image_flow", {"dataset.train": "all[:5]", "batch_size": 8}),
    ("image_flow", {"dataset.num_bits": 3, "model.levels": 32}),
    ("image_flow", {"dataset.crop": "random", "dataset.resize": 4}),
    ("image_flow", {"dataset.context": "label", "dataset.classes": ("a", "b")}),
    ("image_flow", {"model.name": "vector_flow"}),
    ("image_flow", {"model.num_scales": 5}),
    ("image_flow", {"model.event_shape": (8, 8, 3)}),
    ("vector_flow", {"dataset.context": "a", "dataset.drop": "a"}),
    ("vector_flow", {"dataset.columns": "a"}),
    ("vector_flow", {"model.event_shape": (5,)}),
    ("vector_flow", {"model.name": "image_flow"}),
    ("vector_flow", {"optimizer.l2": 1.0}),
    ("vector_flow", {"dataset.train": "all[80%:]", "dataset.validation": "all[:-1]"}),
    ("masked_autoregressive_flow", {"model.normalization": "batch_norm", "batch_size": 1}),
    ("masked_autoregressive_flow", {"model.residual": True, "model.hidden": (4, 5)}),
    ("masked_autoregressive_flow", {"dtype": "bfloat16"}),
    ("masked_autoregressive_flow", {"dataset.train": "test", "dataset.test": "test"}),
]


class LateError(BaseException):
    """A case that takes too long."""


class AcceptedError(BaseException):
    """Raised instead of writing the first file."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A config of `BASES`, and the values that are changed in it."""

    base: str
    changes: dict[str, Any]

    def __str__(self) -> str:
        """The changes, shortened."""
        return f"{self.base} {', '.join(f'{key}={_short(value)}' for key, value in self.changes.items())}"

    def is_contradiction(self) -> bool:
        """Whether the case is one of `CONTRADICTIONS`."""
        return (self.base, self.changes) in CONTRADICTIONS

    def never_valid(self) -> bool:
        """Whether the case is nonsense whatever else the config holds."""
        if self.is_contradiction():
            return True
        ((key, value),) = self.changes.items()
        default = KEYS[key][0]
        if isinstance(value, float) and not math.isfinite(value):
            return True
        if isinstance(value, (int, float)) and not isinstance(value, bool) and isinstance(default, (int, float)):
            return isinstance(default, bool) or (value < 0 and key != "model.initial_scale")
        return not isinstance(value, list) and type(value) is not type(default) and not isinstance(default, float)


def cases() -> list[Case]:
    """All cases."""
    found = [Case(base, {key: v}) for base in BASES for key in KEYS for v in _VALUES[type(KEYS[key][0])]]
    return [*found, *(Case(base, changes) for base, changes in CONTRADICTIONS)]


def refusal(case: Case, folder: Path, seconds: int = SECONDS) -> tuple[str | None, list[str]]:
    """How the program refuses a case.

    Args:
      case: the case.
      folder: an empty folder, in which the workdir would be.
      seconds: until an answer is late.

    Returns:
      (message, None if the case is accepted; faults).
    """
    workdir, message, faults = folder / "run", None, []
    started = time.perf_counter()
    try:
        with _limited(seconds):
            start.train(config_of(case, folder), workdir)
        faults.append("it ended without a word")
    except (AcceptedError, InterruptedRunError):  # the second after max_hours, if they are that few
        if case.never_valid():
            faults.append("it is accepted")
    except (ValueError, TypeError) as error:
        message = str(error)
        if "\n" in message or len(message) > 400:
            faults.append(f"the message is not one sentence: {message[:500]!r}")
        if "expected" not in message or "got" not in message:
            faults.append(f"the message does not say what was expected: {message[:200]!r}")
    except LateError:
        faults.append(f"no answer after {time.perf_counter() - started:.0f} s")
    except Exception as error:
        faults.append(f"{type(error).__name__}: {str(error)[:200]!r}")
    if workdir.exists():
        faults.append("it leaves something in the workdir")
    return message, faults


def config_of(case: Case, folder: Path) -> Any:
    """The config of a case, as a user's file would set it."""
    name, small = BASES[case.base]
    table = folder.parent / "table.csv"
    if not table.is_file():
        rows = np.random.default_rng(0).standard_normal((100, 3))
        np.savetxt(table, rows, delimiter=",", header="a,b,c", comments="")
    changes = {**small, **case.changes}
    if changes.get("dataset.path") == "table.csv":
        changes["dataset.path"] = str(table)
    config = get_config(name)
    return filled({**flatten(config), **changes})


def trained(case: Case, folder: Path) -> list[str]:
    """Faults of the training of an accepted case."""
    try:
        result = start.train(config_of(case, folder), folder / "run")
    except (ValueError, TypeError, OSError, NonFiniteLossError) as error:
        return [] if len(str(error)) <= 600 else [f"a long message: {str(error)[:800]!r}"]
    except Exception as error:
        return [f"in training, {type(error).__name__}: {str(error)[:200]!r}"]
    return [] if math.isfinite(result["mean"]) else [f"the result is {result['mean']}"]


@contextlib.contextmanager
def accepted_is_raised():
    """Within this context, a run raises AcceptedError instead of writing its first file."""

    def accept(self: Workdir) -> None:
        raise AcceptedError

    original, Workdir.start = Workdir.start, accept  # type: ignore[method-assign]
    try:
        yield
    finally:
        Workdir.start = original  # type: ignore[method-assign]


@contextlib.contextmanager
def _limited(seconds: int):
    def late(*_: object) -> None:
        raise LateError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _short(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:30]}... ({len(text)} characters)"


def main() -> None:
    """Run the cases, and print each fault; exit with 1 if there is one."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=0, help="cases, drawn at random; 0 for all")
    parser.add_argument("--processes", type=int, default=20, help="cases that are also run as commands")
    parser.add_argument("--train", action="store_true", help="also train every case that is accepted")
    options = parser.parse_args()
    chosen = cases()
    if options.count:
        chosen = random.Random(options.seed).sample(chosen, options.count)
    kinds: collections.Counter[str] = collections.Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as root:
        accepted = []
        with accepted_is_raised():
            warm_up = Path(root) / "warm_up"
            warm_up.mkdir()
            for base in BASES:  # the first config of a kind imports and compiles what the others need
                refusal(Case(base, {"seed": 0}), warm_up, 10 * SECONDS)
            for number, case in enumerate(chosen):
                folder = Path(root) / f"case_{number}"
                folder.mkdir()
                started = time.perf_counter()
                message, faults = refusal(case, folder)
                slowest = max(slowest, time.perf_counter() - started)
                kinds["refused" if message is not None else "accepted"] += 1
                if message is None:
                    accepted.append((case, folder))
                _report(kinds, case, faults)
        for case, folder in accepted if options.train else []:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                faults = trained(case, folder)
            kinds["trained"] += 1
            _report(kinds, case, faults)
        texts = [case for case in chosen if _as_arguments(case) is not None and case.base != "vector_flow"]
        for number, case in enumerate(random.Random(options.seed).sample(texts, min(options.processes, len(texts)))):
            kinds["commands"] += 1
            _report(kinds, case, _command_faults(case, Path(root) / f"command_{number}"))
    print(f"slowest answer: {slowest:.1f} s")
    print(", ".join(f"{count} {name}" for name, count in sorted(kinds.items())))
    sys.exit(kinds["with faults"] > 0)


def _report(kinds: collections.Counter[str], case: Case, faults: list[str]) -> None:
    kinds["with faults"] += bool(faults)
    for fault in faults:
        print(f"FAULT {case}: {fault}"[:1000], flush=True)


def _as_arguments(case: Case) -> list[str] | None:
    """The changes as a command line has them; None if it cannot hold them."""
    arguments = [f"--config.{key}={value}" for key, value in case.changes.items()]
    return None if any("\0" in a or not a.isprintable() for a in arguments) else arguments


def _command_faults(case: Case, workdir: Path) -> list[str]:
    """Faults of the answer of a command, which is cut off once it has accepted the case."""
    name, small = BASES[case.base]
    arguments = [*(f"--config.{key}={value}" for key, value in small.items()), *(_as_arguments(case) or [])]
    command = [sys.executable, "train.py", f"--config={name}", f"--workdir={workdir}", *arguments]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return []
    faults = [] if done.returncode == 1 else [f"exit code {done.returncode}"]
    lines = done.stderr.strip().splitlines()
    if "Traceback" in done.stderr or not lines or not lines[-1].startswith("Error: "):
        faults.append(f"as a command: {done.stderr[-500:]!r}")
    if workdir.exists() and "checkpoint" not in lines[-1]:  # a run whose loss is not finite
        faults.append("the command leaves something in the workdir")
    return faults


if __name__ == "__main__":
    main()
