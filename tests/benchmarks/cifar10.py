"""Speed and memory of the CIFAR-10 model: training step, log_prob and sample.

    python -m tests.benchmarks.cifar10                                # this machine, one default batch size
    python -m tests.benchmarks.cifar10 --variants loop unroll remat invert bfloat16
    python -m tests.benchmarks.cifar10 --batch-sizes 64 256 512 1024 --variants loop unroll bfloat16 unroll+bfloat16
                                                                      # a GPU
    python -m tests.benchmarks.cifar10 --before ../older              # and the same of another checkout, in one run
    python -m tests.benchmarks.cifar10 --model 8 2 8                  # a size to try it with: pixels, blocks, features

A variant is `loop`, or choices joined by +: unroll, remat, invert, bfloat16. Training steps of all variants are
interleaved, a square matrix product included, medians printed: compare the ratios, not the seconds. The arithmetic
counted is that of the convolutions and their gradients (a training step is three forward passes); everything else is
overhead. Temporary memory is XLA's own account of the program; peak memory is the device's, or the process's where it
has none, so far.
"""

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax.models.flow import Flow
from realnvp_jax.training.optimizer import Adam, clipped
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step


def forward_flops(flow: Flow) -> int:
    """Floating-point operations of all convolutions in one pass over one example, padding not counted."""
    height, width, channels = flow.event_shape
    model = flow.bijection
    total = 0
    for k in range(model.num_scales):
        h, w, c, f = height >> k, width >> k, channels * 2**k, model.conditioner.base_features * 2**k
        is_last = k == model.num_scales - 1
        total += (4 if is_last else 3) * _conditioner_flops(h, w, 2 * c + 1, f, 2 * c, model.conditioner.num_blocks)
        if not is_last:
            total += 3 * _conditioner_flops(h // 2, w // 2, 4 * c, 2 * f, 4 * c, model.conditioner.num_blocks)
    return total


def _conditioner_flops(height: int, width: int, inputs: int, features: int, outputs: int, num_blocks: int) -> int:
    taps = (3 * height - 2) * (3 * width - 2)  # of a 3x3 kernel, inside of the image
    wide = taps * (inputs * features + num_blocks * 2 * features**2)
    pointwise = height * width * ((1 + num_blocks) * features**2 + features * outputs)
    return 2 * (wide + pointwise)


def compile_times(function, *arguments):
    """(compiled function, seconds of tracing, seconds of compiling)."""
    start = time.perf_counter()
    lowered = function.lower(*arguments)
    traced = time.perf_counter()
    compiled = lowered.compile()
    return compiled, traced - start, time.perf_counter() - traced


def seconds(function) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def matmul(size: int):
    """A square matrix product, and its number of operations."""
    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    return functools.partial(product, a), 2 * size**3


def peak_memory_gib() -> float:
    statistics_of_device = jax.local_devices()[0].memory_stats()
    if statistics_of_device:
        return statistics_of_device["peak_bytes_in_use"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def make_flow(variant: str, sizes: list[int]) -> Flow:
    """The flow of a variant; `sizes` are pixels, blocks and features."""
    choices = {}
    for choice in variant.split("+"):
        if choice in ("remat", "invert"):
            choices["memory"] = choice
        elif choice == "bfloat16":
            choices["dtype"] = choice
        elif choice == "unroll":
            choices["unroll"] = True
        elif choice != "loop":
            raise SystemExit(f"expected variants of loop, unroll, remat, invert, bfloat16; got {variant!r}")
    width, blocks, features = sizes
    return realnvp_jax.image_flow((width, width, 3), base_features=features, num_blocks=blocks, **choices)


def programs(flow: Flow, batch_size: int, density: bool) -> dict:
    """Name -> (compiled function of no arguments, trace seconds, compile seconds, temporary bytes, forward passes)."""
    optimizer = clipped(Adam(), 1e-3)
    state = jax.jit(create_state, static_argnums=(0, 2))(flow, jax.random.key(0), optimizer)
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (batch_size, *flow.event_shape)), jnp.uint8)
    key = jax.random.key(2)
    step = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, l2=5e-5, flip=True), donate_argnums=0)
    tasks = {}
    if density:
        x = flow.dequantize(jax.random.key(1), pixels)
        params = jax.tree.map(jnp.copy, state.params)  # the state's own are donated
        tasks["log_prob"] = (jax.jit(flow.log_prob), (params, x), (params, x), 1)
        draw = jax.jit(flow.sample, static_argnums=2)
        tasks["sample"] = (draw, (params, key, (batch_size,)), (params, key), 1)
    tasks["training step"] = (step, (state, {"x": pixels}, key), None, 3)
    found = {}
    for name, (function, arguments, dynamic, passes) in tasks.items():
        compiled, trace, compile_ = compile_times(function, *arguments)
        print(f"compiled {name}: {trace:.1f} + {compile_:.1f} s", file=sys.stderr, flush=True)
        temporary = compiled.memory_analysis().temp_size_in_bytes

        if dynamic is None:
            latest = [state]

            def run(compiled=compiled, latest=latest, pixels=pixels):
                latest[0], metrics = compiled(latest[0], {"x": pixels}, key)
                return metrics
        else:
            run = functools.partial(compiled, *dynamic)
        found[name] = (run, trace, compile_, temporary, passes)
    return found


def measure(variants: list[str], sizes: list[int], batch_size: int, repeats: int) -> list[dict]:
    tasks, rows = {}, []
    for variant in variants:
        flow = make_flow(variant, sizes)
        # densities and samples have no precision and no memory mode
        tasks |= {(variant, name): task for name, task in programs(flow, batch_size, variant in DENSITY).items()}
    product, product_flops = matmul(2048 if jax.default_backend() == "cpu" else 8192)
    product()
    for run, *_ in tasks.values():
        jax.block_until_ready(run())
    times = {key: [] for key in tasks}
    product_times = []
    for _ in range(repeats):
        for key, (run, *_) in tasks.items():
            times[key].append(seconds(run))
        product_times.append(seconds(product))
    flops = forward_flops(make_flow("loop", sizes)) * batch_size
    for (variant, name), (_, trace, compile_, temporary, passes) in tasks.items():
        taken = statistics.median(times[variant, name])
        flops_per_second = passes * flops / taken
        rows.append(
            {
                "task": name,
                "variant": variant,
                "batch_size": batch_size,
                "images_per_second": batch_size / taken,
                "milliseconds": 1e3 * taken,
                "trace_seconds": trace,
                "compile_seconds": compile_,
                "temporary_mib": temporary / 2**20,
                "tflops": flops_per_second / 1e12,
                "fraction_of_matmul": flops_per_second / (product_flops / statistics.median(product_times)),
                "peak_memory_gib": peak_memory_gib(),
            }
        )
        print("  ".join(f"{v:.3g}" if isinstance(v, float) else str(v) for v in rows[-1].values()), flush=True)
    return rows


DENSITY = ("loop", "unroll")
HEADER = "task  variant  batch  images/s  ms  trace s  compile s  temporary MiB  TFLOP/s  fraction of matmul  peak GiB"


def before(checkout: str, options: argparse.Namespace) -> None:
    """Run the benchmark of another checkout, with its own code."""
    command = [sys.executable, "tests/benchmarks/cifar10.py", "--repeats", str(options.repeats), "--batch-sizes"]
    command += map(str, options.batch_sizes)
    print(f"before: {checkout}", flush=True)
    subprocess.run(command, cwd=checkout, env={**os.environ, "PYTHONPATH": checkout}, check=True)
    print("after:", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [16] if jax.default_backend() == "cpu" else [64]
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=default)
    parser.add_argument("--variants", nargs="+", default=["loop"])
    parser.add_argument("--model", type=int, nargs=3, default=[32, 8, 64], metavar=("PIXELS", "BLOCKS", "FEATURES"))
    parser.add_argument("--repeats", type=int, default=5 if jax.default_backend() == "cpu" else 20)
    parser.add_argument("--before", help="another checkout of this repository, measured first")
    parser.add_argument("--json", help="also write the rows to this file")
    options = parser.parse_args()
    if options.before:
        before(os.path.abspath(options.before), options)
    device = jax.devices()[0]
    gigaflops = forward_flops(make_flow("loop", options.model)) / 1e9
    print(f"{device.device_kind}, jax {jax.__version__}, {gigaflops:.3g} GFLOP per image and pass")
    print(HEADER)
    rows = []
    for batch_size in options.batch_sizes:
        rows.extend(measure(options.variants, options.model, batch_size, options.repeats))
        if options.json:
            with open(options.json, "w") as file:
                json.dump({"device": device.device_kind, "jax": jax.__version__, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
