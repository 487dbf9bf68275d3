"""Speed and memory of the CIFAR-10 model: training step, log_prob and sample.

    python tests/benchmarks/cifar10.py                              # this machine, one default batch size
    python tests/benchmarks/cifar10.py --batch-sizes 64 256 512     # a GPU

Everything is measured in one run, a square matrix product included, interleaved, medians printed: compare the ratios,
not the seconds. The arithmetic counted is that of the convolutions and their gradients (a training step is three
forward passes); everything else is overhead. Peak memory is the device's own, or the process's where it has none.
"""

import argparse
import functools
import json
import resource
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import realnvp_jax
from realnvp_jax.models.flow import Flow
from realnvp_jax.training.optimizer import create_optimizer
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step


def forward_flops(flow: Flow) -> int:
    """Floating-point operations of all convolutions in one pass over one example, padding not counted."""
    height, width, channels = flow.event_shape
    model = flow.bijection
    total = 0
    for k in range(model.num_scales):
        h, w, c, f = height >> k, width >> k, channels * 2**k, model.base_features * 2**k
        is_last = k == model.num_scales - 1
        total += (4 if is_last else 3) * _conditioner_flops(h, w, 2 * c + 1, f, 2 * c, model.num_blocks)
        if not is_last:
            total += 3 * _conditioner_flops(h // 2, w // 2, 4 * c, 2 * f, 4 * c, model.num_blocks)
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


def measure(flow: Flow, batch_size: int, repeats: int) -> list[dict]:
    optimizer = create_optimizer(1e-3)
    state = jax.jit(create_state, static_argnums=(0, 2))(flow, jax.random.key(0), optimizer)
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (batch_size, *flow.event_shape)), jnp.uint8)
    x = flow.dequantize(jax.random.key(1), pixels)
    key = jax.random.key(2)
    step = jax.jit(functools.partial(train_step, flow=flow, optimizer=optimizer, l2=5e-5, flip=True))
    tasks = {
        "training step": (step, (state, {"x": pixels}, key), 3),
        "log_prob": (jax.jit(flow.log_prob), (state.params, x), 1),
        "sample": (jax.jit(flow.sample, static_argnums=2), (state.params, key, (batch_size,)), 1),
    }
    product, product_flops = matmul(2048 if jax.default_backend() == "cpu" else 8192)
    product()
    rows = []
    for name, (function, arguments, passes) in tasks.items():
        compiled, trace, compile_ = compile_times(function, *arguments)
        dynamic = arguments if name != "sample" else arguments[:2]
        jax.block_until_ready(compiled(*dynamic))
        times, product_times = [], []
        for _ in range(repeats):
            times.append(seconds(lambda: compiled(*dynamic)))  # noqa: B023 - called at once
            product_times.append(seconds(product))
        taken = statistics.median(times)
        flops_per_second = passes * forward_flops(flow) * batch_size / taken
        rows.append(
            {
                "task": name,
                "batch_size": batch_size,
                "images_per_second": batch_size / taken,
                "milliseconds": 1e3 * taken,
                "trace_seconds": trace,
                "compile_seconds": compile_,
                "gflops": flops_per_second / 1e9,
                "fraction_of_matmul": flops_per_second / (product_flops / statistics.median(product_times)),
                "peak_memory_gib": peak_memory_gib(),
            }
        )
        print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in rows[-1].values()))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [16] if jax.default_backend() == "cpu" else [64]
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=default)
    parser.add_argument("--repeats", type=int, default=5 if jax.default_backend() == "cpu" else 20)
    parser.add_argument("--json", help="also write the rows to this file")
    options = parser.parse_args()
    flow = realnvp_jax.image_flow()
    device = jax.devices()[0]
    print(f"{device.device_kind}, jax {jax.__version__}, {forward_flops(flow) / 1e9:.1f} GFLOP per image and pass")
    rows = []
    for batch_size in options.batch_sizes:
        if not rows:
            print("task  batch  images/s  ms  trace s  compile s  GFLOP/s  fraction of matmul  peak GiB")
        rows.extend(measure(flow, batch_size, options.repeats))
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"device": device.device_kind, "jax": jax.__version__, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
