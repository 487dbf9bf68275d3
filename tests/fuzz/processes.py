"""Does a run of several processes survive signals to one of them, and the death of one?

    python -m tests.fuzz.processes --seed 0 --signals 20 --kills 20

The processes run on this machine, with two CPU devices each, and find each other as under Slurm. One of them gets a
signal, or is killed, at a random time between the import of the program and its last line. After SIGTERM, SIGINT or
SIGHUP, all processes must exit with the code of that signal; after SIGKILL, the others must exit by themselves. The
same command is then started again, and must end like an undisturbed run: the same result.json to the byte, the same
arrays in the last checkpoint to the bit, and the same validation results in metrics.csv.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.fuzz.signals import (
    ARGUMENTS,
    NUM_STEPS,
    PATIENCE,
    ROOT,
    Ended,
    default_signals,
    outcome,
    saved_steps,
    tracebacks,
    wait_for,
)

TOY = [argument for argument in ARGUMENTS if "batch_size=50" not in argument] + ["--config.batch_size=52"]


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_processes(
    arguments: list[str],
    count: int,
    environment: dict[str, str],
    devices: int = 2,
    last: tuple[str, ...] = (),
) -> list[subprocess.Popen[str]]:
    """Start Python as several processes with so many CPU devices each, as Slurm would on one node.

    The last of them also gets the arguments `last`.
    """
    shared = {
        **environment,
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_COORDINATOR_PORT": str(free_port()),
        "SLURM_JOB_ID": "1",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(count),
    }
    pipe, programs = subprocess.PIPE, []
    with default_signals():
        for i in range(count):
            own = {**shared, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)}
            command = [sys.executable, *arguments, *(last if i == count - 1 else ())]
            programs.append(subprocess.Popen(command, cwd=ROOT, env=own, stdout=pipe, stderr=pipe, text=True))
    return programs


def run_processes(arguments: list[str], count: int, environment: dict[str, str], **options: Any) -> list[Ended]:
    """Start such processes, with the options of `start_processes`, and wait until all have ended."""
    started = time.perf_counter()
    return [wait_for(program, started) for program in start_processes(arguments, count, environment, **options)]


class Trial:
    """Runs of two processes in subfolders of a folder, all with the same compilation cache.

    Args:
      folder: an empty folder.
      arguments: those of `train.py`, but for the workdir.
    """

    def __init__(self, folder: Path, arguments: list[str]):
        self.folder, self._arguments = folder, arguments
        self.environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_ENABLE_COMPILATION_CACHE": "true",
            "JAX_COMPILATION_CACHE_DIR": str(folder / "cache"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        whole = folder / "whole"
        for _ in range(2):  # the first run fills the cache
            shutil.rmtree(whole, ignore_errors=True)
            ended = self._run(whole)
            assert [one.code for one in ended] == [0, 0], [one.error for one in ended]
        self.seconds = min(one.seconds for one in ended)
        self._expected = outcome(whole)

    def _of(self, workdir: Path) -> list[str]:
        return ["train.py", *self._arguments, f"--workdir={workdir}"]

    def _run(self, workdir: Path) -> list[Ended]:
        return run_processes(self._of(workdir), 2, self.environment)

    def disturbed(self, name: str, number: int, victim: int, seconds: float) -> tuple[str, list[str]]:
        """A run, one process of which gets a signal after so many seconds, and which is started again.

        Returns:
          (what happened, in one line; faults).
        """
        workdir = self.folder / name
        started = time.perf_counter()
        programs = start_processes(self._of(workdir), 2, self.environment)
        time.sleep(seconds)
        was_running = all(program.poll() is None for program in programs)
        must_stop = was_running and NUM_STEPS not in saved_steps(workdir)
        programs[victim].send_signal(number)
        sent = time.perf_counter()
        other = programs[1 - victim]
        hung = False
        try:
            other.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            other.kill()
            hung = True
        exited_after = time.perf_counter() - sent
        ended = [wait_for(program, started) for program in programs]
        codes, faults = [one.code for one in ended], [f"the other hung for {PATIENCE} s"] if hung else []
        if number == signal.SIGKILL:
            if must_stop and (codes[victim] != -number or codes[1 - victim] == 0):
                faults.append(f"exit codes {codes}: {ended[1 - victim].error[-300:]!r}")
        else:
            faults += [fault for one in ended for fault in tracebacks(one)]
            if codes not in [[128 + number] * 2, *([] if must_stop else [[0, 0]])]:
                faults.append(f"exit codes {codes}: {[one.error[-300:] for one in ended]}")
        saved = saved_steps(workdir)
        again = self._run(workdir)
        if [one.code for one in again] != [0, 0]:
            faults.append(f"started again: {[(one.code, one.error[-300:]) for one in again]}")
        else:
            found = outcome(workdir)
            faults += [f"another {name}" for name, value in self._expected.items() if found[name] != value]
        shutil.rmtree(workdir, ignore_errors=True)
        what = f"{signal.Signals(number).name} to process {victim} at {seconds:.2f} s"
        return f"{what}: exit codes {codes}, the other after {exited_after:.1f} s, saved {saved or 'none'}", faults


def main() -> None:
    """Run the trials, and print each of them; exit with 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", type=int, default=20, help="runs that get SIGTERM, SIGINT or SIGHUP")
    parser.add_argument("--kills", type=int, default=20, help="runs that get SIGKILL")
    options = parser.parse_args()
    draw = random.Random(options.seed)
    numbers = [signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    chosen = [numbers[i % len(numbers)] for i in range(options.signals)] + [signal.SIGKILL] * options.kills
    num_faults = 0
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), TOY)
        print(f"undisturbed: {trial.seconds:.1f} s", flush=True)
        for i, number in enumerate(chosen):
            seconds = draw.uniform(0.3, trial.seconds)
            described, faults = trial.disturbed(f"run_{i}", number, i % 2, seconds)
            num_faults += bool(faults)
            print(f"{i}: {described}", *(f"  FAULT {fault}" for fault in faults), sep="\n", flush=True)
    print(f"{len(chosen)} trials, {num_faults} with faults")
    sys.exit(num_faults > 0)


if __name__ == "__main__":
    main()
