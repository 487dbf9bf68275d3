"""Speed, compile time and size of the training steps of configs.

    python -m tests.benchmarks.training_steps cifar10,batch_size=16 cifar10_ten_minutes,batch_size=16
    python -m tests.benchmarks.training_steps cifar10,batch_size=256,dtype=bfloat16 --steps 10 --kernels 20 --json FILE

A case is the name of a config and overrides, separated by commas. Cases are compiled and timed one after the other,
each beside a bfloat16 matrix product: compare the ratios of one run. No case is begun after `--seconds`, and `--json`
writes what is there after every case, for a GPU that is there for a few minutes. `--kernels N` also prints the N
kernels that take the most time.

Parameters are random numbers and images are noise: neither matters for the time. GFLOP counts the convolutions and
matrix products of one pass over one image; a training step is counted as three passes.
"""

import argparse
import functools
import gzip
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np

from realnvp_jax.models import pure
from realnvp_jax.models.create import create
from realnvp_jax.runs.config_keys import with_overrides
from realnvp_jax.runs.named_configs import get_config
from realnvp_jax.runs.setup import make_optimizer
from realnvp_jax.training.state import create_state
from realnvp_jax.training.steps import train_step


def case_config(case: str):
    """The config of a case."""
    name, *overrides = case.split(",")
    return with_overrides(get_config(name), [f"--config.{override}" for override in overrides])


def count_flops(jaxpr, repeats: int = 1) -> int:
    """Floating-point operations of all convolutions and matrix products, with loops counted as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        params, inputs, output = equation.params, [v.aval for v in equation.invars], equation.outvars[0].aval
        if equation.primitive.name == "conv_general_dilated":
            total += repeats * 2 * output.size * int(np.prod(inputs[1].shape[:-1]))
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = params["dimension_numbers"]
            total += repeats * 2 * output.size * int(np.prod([inputs[0].shape[axis] for axis in contracted]))
        inner = repeats * (params["length"] if equation.primitive.name == "scan" else 1)
        total += sum(count_flops(sub, inner) for sub in jax.extend.core.jaxprs_in_params(params))
    return total


def forward_gflop(flow) -> float:
    """GFLOP of the bound on one image's likelihood."""
    variables = jax.eval_shape(flow.init, jax.random.key(0))
    indices = jax.ShapeDtypeStruct((1,), jnp.int32)
    x = jax.ShapeDtypeStruct((1, *flow.event_shape), jnp.uint8)
    trace = jax.make_jaxpr(lambda v, i, x: pure.bits_per_dim(flow, v, jax.random.key(0), i, x, None, 1))
    return count_flops(trace(variables, indices, x).jaxpr) / 1e9


def random_like(shapes, random: np.random.Generator):
    """A tree of these shapes with small random numbers, or zeros for integers."""

    def leaf(shape):
        values = random.standard_normal(shape.shape) if jnp.issubdtype(shape.dtype, jnp.floating) else 0
        return jnp.asarray(np.broadcast_to(0.02 * values, shape.shape), shape.dtype)

    return jax.tree.map(leaf, shapes)


def prepare(case: str) -> dict:
    """The compiled training step of a case, and everything known before it runs."""
    config = case_config(case)
    flow = create(config)
    optimizer, _ = make_optimizer(config, flow)
    random = np.random.default_rng(0)
    x = jax.ShapeDtypeStruct((config.batch_size, *flow.event_shape), jnp.uint8)
    create_shapes = functools.partial(create_state, flow, optimizer=optimizer, ema_decay=config.ema_decay)
    shapes = jax.eval_shape(lambda key, x: create_shapes(key, x=x), jax.random.key(0), x)
    options = {"flow": flow, "optimizer": optimizer, "l2": config.optimizer.l2, "flip": config.dataset.flip}
    step = jax.jit(functools.partial(train_step, **options, ema_decay=config.ema_decay), donate_argnums=0)
    start = time.perf_counter()
    lowered = step.lower(shapes, {"x": x}, jax.random.key(0))
    traced = time.perf_counter()
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - traced
    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes.params["params"])]
    print(f"compiled {case}: {traced - start:.1f} + {compile_seconds:.1f} s", flush=True)
    return {
        "case": case,
        "batch_size": config.batch_size,
        "step": compiled,
        "state": random_like(shapes, random),
        "batch": {"x": jnp.asarray(random.integers(0, 256, x.shape), jnp.uint8)},
        "trace_seconds": traced - start,
        "compile_seconds": compile_seconds,
        "temporary_mib": compiled.memory_analysis().temp_size_in_bytes / 2**20,
        "parameters": sum(sizes),
        "gflop_per_image": forward_gflop(flow),
    }


def seconds_per_step(prepared: dict, steps: int) -> float:
    """Seconds of one training step, of several that follow each other without waiting for the host."""
    state, key = prepared["state"], jax.random.key(1)
    start = time.perf_counter()
    for _ in range(steps):
        state, metrics = prepared["step"](state, prepared["batch"], key)
    jax.block_until_ready((state, metrics))
    prepared["state"] = state
    return (time.perf_counter() - start) / steps


def matrix_product():
    """(run one bfloat16 product, its TFLOP)."""
    size = 1024 if jax.default_backend() == "cpu" else 8192
    a = jax.random.normal(jax.random.key(0), (size, size), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)

    def run(repeats: int = 10) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            latest = product(a)
        latest.block_until_ready()
        return (time.perf_counter() - start) / repeats

    run()
    return run, 2 * size**3 / 1e12


def longest_kernels(prepared: dict, count: int) -> list[tuple[str, float]]:
    """(name, milliseconds per training step) of the kernels that take the most time, from a trace of three steps."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            seconds_per_step(prepared, 3)
        (path,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    totals: dict[str, float] = defaultdict(float)
    for event in events:
        if event.get("ph") == "X" and "hlo_op" in event.get("args", {}):
            totals[event["name"]] += event["dur"] / 3e3
    return sorted(totals.items(), key=lambda item: -item[1])[:count]


def measure(case: str, repeats: int, steps: int, num_kernels: int) -> dict:
    """One row of results."""
    prepared = prepare(case)
    product, product_tflop = matrix_product()
    seconds_per_step(prepared, 1)
    taken = min(seconds_per_step(prepared, steps) for _ in range(repeats))
    peak = product_tflop / min(product() for _ in range(repeats))
    row = {name: value for name, value in prepared.items() if name not in ("step", "state", "batch")}
    row["milliseconds"] = 1e3 * taken
    row["images_per_second"] = prepared["batch_size"] / taken
    row["tflop_per_second"] = 3e-3 * prepared["gflop_per_image"] * row["images_per_second"]
    row["fraction_of_matmul"] = row["tflop_per_second"] / peak
    of_device = jax.local_devices()[0].memory_stats() or {}
    row["peak_gib_so_far"] = of_device.get("peak_bytes_in_use", 0) / 2**30
    print("  ".join(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()), flush=True)
    if num_kernels:
        row["kernels"] = longest_kernels(prepared, num_kernels)
        for name, milliseconds in row["kernels"]:
            print(f"    {milliseconds:8.3f} ms  {name}", flush=True)
    return row


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of timing, of which the fastest counts")
    parser.add_argument("--steps", type=int, default=1, help="training steps in a row that are timed together")
    parser.add_argument("--kernels", type=int, default=0, help="kernels to print, those that take the most time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no case after this time")
    parser.add_argument("--json", type=Path, help="also write the rows to this file, after every case")
    options = parser.parse_args()
    start, rows, device = time.perf_counter(), [], jax.devices()[0].device_kind
    print(f"{device}, jax {jax.__version__}")
    for case in options.cases:
        if time.perf_counter() - start > options.seconds:
            print(f"no time left for {case}")
            continue
        rows.append(measure(case, options.repeats, options.steps, options.kernels))
        if options.json:
            options.json.write_text(json.dumps({"device": device, "jax": jax.__version__, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
