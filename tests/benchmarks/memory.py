"""Memory and time of the backward pass with 10, 20 and 40 couplings, in every memory mode.

    python -m tests.benchmarks.memory                   # both tables
    python -m tests.benchmarks.memory --drift 100       # rounding of `invert` with so many couplings

The couplings are checkerboard couplings as of the CIFAR-10 model, made smaller, in one stack: images of 16x16,
8 blocks of 16 features, a batch of 16. A program computes the gradient of the mean log_prob. Its memory is what XLA
accounts for temporaries, in which parameters and gradients are not, and what the process needs at its peak beyond what
it needed before, less the gradients; each in a process of its own.
"""

import argparse
import functools
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from realnvp_jax.bijections.coupling import coupling
from realnvp_jax.bijections.stack import Stack
from realnvp_jax.bijections.transforms import Affine
from realnvp_jax.masks import Checkerboard
from realnvp_jax.mode import TRAIN
from realnvp_jax.networks.resnet import ResNet
from realnvp_jax.networks.statistics import BatchNorm
from realnvp_jax.training.optimizer import global_norm

MODES = ("store", "remat", "invert")


def problem(num_layers: int, memory: str, unroll: bool, width=16, features=16, blocks=8, batch=16):
    """(gradient function, its arguments)."""
    conditioner = ResNet(base_features=features, num_blocks=blocks, unroll=unroll)
    layer = coupling(Checkerboard(), conditioner, Affine(0.0, False), BatchNorm(), 3)
    parities = tuple(number % 2 for number in range(num_layers))
    stack = Stack(layer, num_layers, parities, memory, unroll)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((batch, width, width, 3)), jnp.result_type(float))
    variables = jax.jit(functools.partial(stack.init, method="forward"))(jax.random.key(0), x)
    scale = variables["params"]["layer"]["transform"]["scale"]
    variables["params"]["layer"]["transform"]["scale"] = scale + 0.3  # as after some training

    def loss(trainable, x):
        (z, log_det), _ = stack.apply(
            {**variables, "params": trainable}, x, None, TRAIN, method="forward", mutable=["batch_stats"]
        )
        return (0.5 * (z**2).sum((1, 2, 3)) - log_det).mean()

    return jax.grad(loss), (variables["params"], x)


def resident(name: str) -> int:
    """Bytes of the process's memory now (VmRSS) or at its peak (VmHWM), on Linux."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) * 1024


def measure(num_layers: int, memory: str, unroll: bool, repeats: int) -> dict:
    gradient, arguments = problem(num_layers, memory, unroll)
    parameters = sum(leaf.nbytes for leaf in jax.tree.leaves(arguments[0]))
    start = time.perf_counter()
    compiled = jax.jit(gradient).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - start
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = resident("VmRSS")
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - start)
    return {
        "couplings": num_layers,
        "memory": memory,
        "form": "unroll" if unroll else "loop",
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "measured_mib": (resident("VmHWM") - before - parameters) / 2**20,
        "seconds": statistics.median(times),
        "compile_seconds": compile_seconds,
    }


def drift(num_layers: int) -> None:
    """Relative error of the gradients in single precision against double precision."""
    with jax.enable_x64(True):
        gradient, arguments = problem(num_layers, "store", False, 8, 8, 2, 8)
        exact = jax.jit(gradient)(*arguments)
    for memory in MODES:
        gradient, _ = problem(num_layers, memory, False, 8, 8, 2, 8)
        found = jax.jit(gradient)(*jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), arguments))
        with jax.enable_x64(True):
            difference = jax.tree.map(lambda a, b: jnp.asarray(a, jnp.float64) - b, found, exact)
            error = float(global_norm(difference) / global_norm(exact))
        print(f"{num_layers} couplings, {memory}: gradient off by {error:.1e} of its norm", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--couplings", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--forms", nargs="+", default=["loop", "unroll"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--drift", type=int, nargs="*", default=[])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    for number in options.drift:
        drift(number)
    if options.drift:
        return
    print("form  couplings  memory  XLA temporary MiB  measured MiB  seconds  compile s")
    for form in options.forms:
        for num_layers in options.couplings if form == "loop" else options.couplings[:2]:
            for memory in MODES:
                one = {
                    "num_layers": num_layers,
                    "memory": memory,
                    "unroll": form == "unroll",
                    "repeats": options.repeats,
                }
                command = [sys.executable, "-m", "tests.benchmarks.memory", "--one", json.dumps(one)]
                row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
                print(
                    f"{form}  {num_layers}  {memory}  {row['temporary_mib']:.1f}  {row['measured_mib']:.1f}  "
                    f"{row['seconds']:.3f}  {row['compile_seconds']:.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
