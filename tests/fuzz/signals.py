"""Does a run survive signals, and a second program in its workdir?

    python -m tests.fuzz.signals --seed 0 --count 70 --doubles 20

Of every seven runs, three get SIGINT, three SIGTERM and one SIGHUP, at a random time from 100 ms after the start to the
last line. Each is then started again, and must end with the files of an undisturbed run: the same result.json to the
byte, the same arrays in the last checkpoint to the bit, and the same validation results in metrics.csv. In the double
starts, a second program starts in the same workdir after 0 to 5 seconds: one of the two must be refused in one
sentence, and the other must end like the undisturbed run. No stderr may hold a traceback. Odd runs use `realnvp train`,
the others `train.py`. Verdicts do not depend on timing.
"""

import argparse
import collections
import contextlib
import csv
import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from realnvp_jax.runs.checkpoints import open_checkpoints

ROOT = Path(__file__).parents[2]
NUM_STEPS = 600
PATIENCE = 600  # seconds after which a program counts as hanging
SIGNALS = [signal.SIGINT, signal.SIGTERM] * 3 + [signal.SIGHUP]
ARGUMENTS = [
    "--config=configs/toy2d.py:moons",
    "--config.model.num_layers=2",
    "--config.model.hidden=8,",
    "--config.dataset.num_train=1000",
    "--config.batch_size=50",
    f"--config.num_steps={NUM_STEPS}",
    "--config.ema_decay=0.9",
    "--config.checkpoint.every=100",
    "--config.evaluate.every=50",
    "--config.evaluate.log_every=10",
    "--config.evaluate.num_examples=200",
    "--config.evaluate.batch_size=20",
    "--config.evaluate.num_samples=50",
]


@dataclasses.dataclass(frozen=True)
class Ended:
    """A program that has ended.

    Attributes:
      code: its exit code, negative if a signal killed it.
      out: its stdout.
      error: its stderr.
      seconds: how long it ran.
    """

    code: int
    out: str
    error: str
    seconds: float


class Trial:
    """Runs in subfolders of a folder, all with the same compilation cache.

    Args:
      folder: an empty folder.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        self.whole = folder / "whole"
        for _ in range(2):  # the first run fills the cache
            shutil.rmtree(self.whole, ignore_errors=True)
            ended = self.run(self.whole)
            assert ended.code == 0, ended.error
        self.seconds = ended.seconds
        self._expected = outcome(self.whole)

    def start(self, workdir: Path) -> subprocess.Popen[str]:
        """Start a run."""
        is_odd = workdir.name[-1:] in tuple("13579")
        program = ["-m", "realnvp_jax.cli.main", "train"] if is_odd else ["train.py"]
        command = [sys.executable, *program, *ARGUMENTS, f"--workdir={workdir}"]
        pipe = subprocess.PIPE
        with default_signals():
            return subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, workdir: Path) -> Ended:
        """A run from its start to its end."""
        started = time.perf_counter()
        return wait_for(self.start(workdir), started)

    def signalled(self, name: str, number: int, seconds: float) -> tuple[str, list[str]]:
        """A run that gets a signal after so many seconds, and is started again.

        Returns:
          (what happened, in one line; faults).
        """
        workdir = self.folder / name
        started = time.perf_counter()
        program = self.start(workdir)
        try:
            program.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            program.send_signal(number)
        must_stop = program.poll() is None and NUM_STEPS not in saved_steps(workdir)
        ended = wait_for(program, started)
        faults = tracebacks(ended)
        expected = {128 + number}
        if not must_stop:  # a signal that comes after the last batch of the test set lets the run end
            expected |= {0, -number}
        if not ended.out and not any(sign in ended.error for sign in ("realnvp_jax", "train.py", "stop")):
            expected |= {-number, 1}  # Python itself was still starting: it dies, or says that `site` was interrupted
            faults = []
        if ended.code not in expected:
            faults.append(f"exit code {ended.code} instead of {128 + number}: {ended.error[-300:]!r}")
        saved = saved_steps(workdir)
        faults += self._resumed(workdir)
        last = ended.error.strip().splitlines()[-1:] if ended.code else ended.out.strip().splitlines()[-1:]
        shutil.rmtree(workdir, ignore_errors=True)
        described = f"{signal.Signals(number).name} at {seconds:.2f} s: exit code {ended.code}, saved {saved or 'none'}"
        return f"{described}: {''.join(last)[:100]}", faults

    def doubled(self, name: str, seconds: float) -> tuple[str, list[str]]:
        """Two programs in one workdir, the second so many seconds after the first."""
        workdir = self.folder / name
        started = time.perf_counter()
        first = self.start(workdir)
        time.sleep(seconds)
        second = self.start(workdir)
        both = [wait_for(first, started), wait_for(second, started)]
        faults = [fault for ended in both for fault in tracebacks(ended)]
        codes = [ended.code for ended in both]
        refused = [ended for ended in both if ended.code == 1]
        if sorted(codes) != [0, 1]:
            is_late = codes == [0, 0] and "holds this finished run" in both[1].out
            faults += [] if is_late else [f"exit codes {codes}: {[ended.error[-300:] for ended in both]}"]
        for ended in refused:
            line = ended.error.strip()
            if "\n" in line or "expected a --workdir that no other program trains in" not in line:
                faults.append(f"refused with {line!r}")
        faults += self._resumed(workdir, again=False)
        shutil.rmtree(workdir, ignore_errors=True)
        return f"second start at {seconds:.2f} s: exit codes {codes}", faults

    def _resumed(self, workdir: Path, again: bool = True) -> list[str]:
        """Start a run again, and compare its outcome with that of the undisturbed one."""
        if again:
            ended = self.run(workdir)
            if ended.code or tracebacks(ended):
                return [f"started again, it exits with {ended.code}: {ended.error[-300:]!r}"]
        if not (workdir / "result.json").is_file():
            return ["there is no result.json"]
        found = outcome(workdir)
        return [f"another {name}" for name, value in self._expected.items() if found[name] != value]


@contextlib.contextmanager
def default_signals() -> Iterator[None]:
    """What is started here does not ignore SIGINT, as a shell's background jobs and what they start would."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in set(SIGNALS)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for(program: subprocess.Popen[str], started: float) -> Ended:
    try:
        out, error = program.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        program.kill()
        out, error = program.communicate()
        error += f"\nTraceback: it hung for {PATIENCE} seconds"
    return Ended(program.returncode, out, error, time.perf_counter() - started)


def tracebacks(ended: Ended) -> list[str]:
    signs = ("Traceback", "Exception ignored", "Error in sys.excepthook")
    return [f"stderr holds {sign!r}: {ended.error[-600:]!r}" for sign in signs if sign in ended.error]


def saved_steps(workdir: Path) -> list[int]:
    return sorted(int(path.name) for path in workdir.glob("checkpoints/*") if path.name.isdecimal())


def outcome(workdir: Path) -> dict[str, object]:
    """What must not depend on interruptions: the result, the hashes of the last arrays, the validation results."""
    with open_checkpoints(workdir) as checkpoints:
        meta = checkpoints.meta(max(checkpoints.steps()))
    hashes = {name: value for name, value in meta["sha256"].items() if name != "meta"}
    with (workdir / "metrics.csv").open() as file:
        rows = [(row["step"], row["validation"]) for row in csv.DictReader(file) if row["validation"]]
    return {
        "result.json": (workdir / "result.json").read_bytes(),
        "last checkpoint": (meta["step"], meta["best"], hashes),
        "validation in metrics.csv": rows,
    }


def main() -> None:
    """Run the trials, and print each of them; exit with 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=70, help="runs that get a signal")
    parser.add_argument("--doubles", type=int, default=20, help="double starts")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    codes: collections.Counter[str] = collections.Counter()
    num_faults = 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder))
        print(f"undisturbed: {trial.seconds:.1f} s", flush=True)
        for i in range(options.count + options.doubles):
            if i < options.count:
                number = SIGNALS[i % len(SIGNALS)]
                described, faults = trial.signalled(f"run_{i}", number, draw.uniform(0.1, trial.seconds))
                codes[described.partition(" at ")[0] + described.partition(" s:")[2].partition(",")[0]] += 1
            else:
                described, faults = trial.doubled(f"run_{i}", draw.uniform(0, 5))
                codes[f"double start:{described.partition(' s:')[2]}"] += 1
            num_faults += bool(faults)
            print(f"{i}: {described}", *(f"  FAULT {fault}" for fault in faults), sep="\n", flush=True)
    for name, count in sorted(codes.items()):
        print(f"{name}: {count}")
    print(f"{options.count + options.doubles} trials, {num_faults} with faults")
    sys.exit(num_faults > 0)


if __name__ == "__main__":
    main()
